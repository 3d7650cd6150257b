"""`python -m bench`: the whole pipeline; `python -m bench COMMAND`: one part of it. `--help` lists the commands."""

import argparse
import sys

from bench import UserError
from bench.timing import threads
from command_line import exit_code


def requested_threads(arguments: list[str]) -> int | None:
    """The value of --threads, read before anything else, as the libraries read it once when they are imported.

    Raises UserError where there are several.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--threads", type=int, action="append", default=[])
    try:
        requested: list[int] = parser.parse_known_args(arguments)[0].threads
    except argparse.ArgumentError:
        return None  # the real parser says what is wrong with it
    if len(requested) > 1:  # before the command and after it
        raise UserError(f"--threads: is given {len(requested)} times, expected once")
    return requested[0] if requested else None


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code."""

    def work() -> int:
        for name in threads.release():
            sys.stderr.write(
                f"{name} is not obeyed, as it binds processes to one core; bind this command by `taskset`\n"
            )
        wanted = requested_threads(arguments)
        if wanted is None and threads.limit() and "numpy" not in sys.modules:
            wanted = threads.cores()  # the libraries do not see a CPU quota
        if wanted is not None:
            threads.request(wanted)
        from bench.commands import parser  # imports NumPy, so that threads are settled before

        return parser.run(arguments)

    return exit_code(work, UserError)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

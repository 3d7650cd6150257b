"""`python -m bench`: the whole pipeline; `python -m bench COMMAND`: one part of it. `--help` tells more."""

import argparse
import os
import sys

from bench import UserError
from bench.timing import threads


def requested_threads(arguments: list[str]) -> int | None:
    """The value of --threads, read before anything else, as the libraries read it once when they are imported."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--threads", type=int)
    try:
        found: int | None = parser.parse_known_args(arguments)[0].threads
    except argparse.ArgumentError:
        return None  # the real parser will say what is wrong with it
    return found


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code. What a user can get wrong ends in one line, not in a traceback."""
    bad_input = 2 if arguments[:1] == ["compare"] else 1  # its 1 is a slowdown
    try:
        wanted = requested_threads(arguments)
        if wanted is not None:
            threads.request(wanted)
        from bench.commands import parser

        code = parser.run(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return bad_input
    except MemoryError as error:
        sys.stderr.write(f"error: not enough memory ({error}); choose a smaller network, or fewer images or rounds\n")
        return bad_input
    except BrokenPipeError:  # the reader, such as `head`, had enough; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # as on a full disk
        sys.stderr.write(f"error: {error}; make room, or choose another place\n")
        return bad_input
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

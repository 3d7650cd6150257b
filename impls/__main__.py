"""`python -m impls`: the backends, what each is, or why it is not available."""

import argparse
import os
import sys
from typing import NoReturn

import impls


def main(arguments: list[str] | None = None) -> int:
    """List the backends in ladder order; return the exit code."""
    _Parser(prog="python -m impls", description=__doc__).parse_args(arguments)
    try:
        for name in impls.names():
            print(f"{name:13} {described(name)}")
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, had enough; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def described(name: str) -> str:
    """What a backend is, or why it cannot be used here."""
    reason = impls.unavailable_reason(name)
    if reason is not None:
        return f"{'error' if impls.entry(name).fault else 'unavailable'}: {reason}"
    backend = impls.load(name)
    home = "full batch" if backend.HOME is None else f"batches of {backend.HOME}"
    return f"{backend.SUMMARY}; {', '.join(backend.DTYPES)}; at home with {home}"


if __name__ == "__main__":
    sys.exit(main())

"""`python -m impls`: list the backends, with what each is, or why it is not available.

First comes the ladder, from a loop over images to compiled kernels, each changing one thing of the one before; then the
same network as users of other libraries write it; then the backends of other packages. One that can run on a device
says under which name, or why not here.
"""

import sys

import impls
from command_line import Parser, exit_code


def main(arguments: list[str] | None = None) -> int:
    """List the backends in ladder order; return the exit code."""

    def work() -> int:
        Parser(prog="python -m impls", description=__doc__).parse_args(arguments)
        for name in impls.names():
            print(f"{name:13} {described(name)}")
        return 0

    return exit_code(work)


def described(name: str) -> str:
    """Return what a backend is, or why it cannot be used here, in one line."""
    try:
        backend = impls.load(name)
    except impls.BackendUnavailable as unavailable:
        return f"{'error' if impls.entry(name).fault else 'unavailable'}: {unavailable.reason}"
    if missing := impls.missing_parts(backend):
        return f"error: is no backend: missing {missing}"
    batch = "the full batch" if backend.BATCH_SIZE is None else f"batches of {backend.BATCH_SIZE}"
    also = "".join(f"; {elsewhere(f'{name}:{device}')}" for device in getattr(backend, "DEVICES", ("cpu",))[1:])
    return f"{backend.SUMMARY}; {', '.join(backend.DTYPES)}; by default {batch}{also}"


def elsewhere(name: str) -> str:
    """Return under which name it runs on a device, or why not here."""
    reason = impls.unavailable_reason(name)
    return f"not as {name}, which {reason}" if reason else f"also as {name}"


if __name__ == "__main__":
    sys.exit(main())

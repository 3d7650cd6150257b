"""`python -m tests.torture [PART [options]]`: long attacks, for which `make test` has no time; README.md says more."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Without an argument, each that is there runs with its usual options.
PARTS = [part for part in ("readers", "downloads", "runs", "determinism", "load") if (HERE / f"{part}.py").is_file()]


def main(arguments: list[str]) -> int:
    """Run one part with its own options, or all; returns the exit code, 0 where all promises were kept."""
    if not arguments:
        return max(run(part, []) for part in PARTS)
    if arguments[0] not in PARTS:
        sys.stderr.write(f"usage: python -m tests.torture [{'|'.join(PARTS)} [options]]; --help after a part\n")
        return 2
    return run(arguments[0], arguments[1:])


def run(part: str, arguments: list[str]) -> int:
    """Run one part."""
    print(f"--- {part}", flush=True)
    code: int = importlib.import_module(f"tests.torture.{part}").run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

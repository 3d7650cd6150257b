"""One reader under atheris, in a process that ends with it: `python -m tests.torture.guided TARGET REPORT -runs=N`.

Atheris ends the process at once, so that nothing can be done at its end; inputs are written beside the report.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["data", "bench", "impls", "reports", "untrusted", "command_line", "zipfile"]):
    from tests.torture.attack import Found, attack
    from tests.torture.mutants import Choices
    from tests.torture.readers import target_of, warm_up

    TARGET = target_of(sys.argv[1])

EVERY = 1.0  # seconds; the report is written so often, and at each failure of a new kind


def main() -> None:
    """Attack until atheris ends the process."""
    report = Path(sys.argv[2])
    path = report.with_name("attack.json")
    warm_up(TARGET, path)
    found, kinds, due = Found(), 0, 0.0

    def write() -> None:
        nonlocal kinds, due
        kinds, due = len(found.failures), time.monotonic() + EVERY
        report.write_text(json.dumps(asdict(found) | {"grown": found.grown}))

    def one(content: bytes) -> None:
        attack(TARGET, Choices(content), f"x{content.hex()}", path, found)
        if time.monotonic() > due or len(found.failures) > kinds:
            write()

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""One reader under atheris, in a process that ends with it: `python -m tests.torture.guided TARGET REPORT -runs=N`."""

import atexit
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["data", "bench", "impls", "reports", "untrusted", "command_line", "zipfile"]):
    from tests.torture.attack import Found, attack
    from tests.torture.mutants import Choices
    from tests.torture.readers import target_of, warm_up

    TARGET = target_of(sys.argv[1])

EVERY = 500  # inputs; the report is written so often, as a crash ends the process


def main() -> None:
    """Attack until atheris ends the process."""
    report, folder = Path(sys.argv[2]), tempfile.TemporaryDirectory()
    path = Path(folder.name, "attack.json")
    warm_up(TARGET, path)
    found = Found()

    def write() -> None:
        report.write_text(json.dumps(asdict(found) | {"grown": found.grown}))

    def one(content: bytes) -> None:
        attack(TARGET, Choices(content), f"x{content.hex()}", path, found)
        if found.inputs % EVERY == 0:
            write()

    atexit.register(write)
    atexit.register(folder.cleanup)
    atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

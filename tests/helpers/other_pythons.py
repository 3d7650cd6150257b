"""Other interpreters for tests: scripts that run this one, with modules or variables of their own."""

import shlex
import sys
from pathlib import Path


def script(path: Path, text: str) -> Path:
    """Write an executable script of the shell; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def other_python(folder: Path, autograd: str = "99.1", **variables: str) -> Path:
    """Make an interpreter with this version of autograd, by its metadata alone; return its path.

    variables: of the environment, that it sets besides.
    """
    about = folder / "site" / f"autograd-{autograd}.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(f"Metadata-Version: 2.1\nName: autograd\nVersion: {autograd}\n")
    settings = {"PYTHONPATH": f"{folder / 'site'}:{':'.join(path for path in sys.path if path)}", **variables}
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    return script(folder / "bin" / "python", f'{given} exec {shlex.quote(sys.executable)} "$@"')

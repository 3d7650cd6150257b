"""The template of `python -m bench new`, and ways to spoil it."""

from pathlib import Path

import impls

TEMPLATE = Path(impls.__file__).with_name("template.py")
TRAIN = '''    """The state after the plan's updates, and the mean cost'''


def spoilt(line: str) -> str:
    """The template with this line at the beginning of `train`."""
    text = TEMPLATE.read_text(encoding="utf-8")
    assert text.count(TRAIN) == 1
    return text.replace(TRAIN, f"    {line}\n{TRAIN}")

"""Cases, the agreement check, measuring, training runs and their results on disk. See `python -m bench --help`."""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the checkout
RESULTS = ROOT / "bench" / "results"


class UserError(ValueError):
    """What the user asked for cannot be done; the message is one line: what, expected, found, remedy."""

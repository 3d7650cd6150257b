"""Cases, the agreement check, measuring, training runs and their results on disk. See `python -m bench --help`."""


class UserError(ValueError):
    """Something the user asked for cannot be; the message is one line: what, expected, found, remedy."""

"""Cases, the agreement check, measuring, training runs and their results on disk. See `python -m bench --help`."""


class UserError(ValueError):
    """Something the user asked for cannot be; the message is one line: what, expected, found, remedy."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code

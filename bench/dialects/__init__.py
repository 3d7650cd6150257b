"""Where the same settings train differently: questions to libraries, their answers, and the contract's."""


class NotAsked(Exception):
    """A question cannot be asked here; the message says what the library or the machine lacks."""

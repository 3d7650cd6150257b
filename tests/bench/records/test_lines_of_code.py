"""Lines of code: what holds code counts; blank lines, comments and docstrings do not."""

from pathlib import Path

import pytest

import impls
from bench.records import fingerprint

SOURCE = '''"""A docstring
over three lines.
"""

import math  # one


# a comment
class Circle:  # two
    """A docstring."""

    radius: float  # three

    def area(self) -> float:  # four
        """Two

        paragraphs.
        """
        # a comment
        pi = math.pi  # five

        return (  # six
            # a comment in brackets
            pi  # seven
            * self.radius  # eight
            * self.radius  # nine
        )  # ten


TEXT = """eleven

thirteen, as a string's blank line is part of it"""
'''


def test_what_counts() -> None:
    assert fingerprint.count(SOURCE) == 13


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ("\n\n# nothing\n", 0),
        ('"""Only a docstring."""\n', 0),
        ("x = 1", 1),
        ("x = 1; y = 2\n", 1),
        ("x = [\n    1,\n\n    2,\n]\n", 4),
        ('x = 1\n"""A string that is no docstring is code."""\n', 2),
        ('def f():\n    """A docstring."""\n', 1),
        ('x = f"""{\n1}"""\n', 2),
    ],
)
def test_small_sources(source: str, lines: int) -> None:
    assert fingerprint.count(source) == lines


@pytest.mark.parametrize("name", ["naive", "vectorized", "minibatch", "numba", "scipy_sparse"])
def test_of_a_backend(name: str) -> None:
    backend = impls.load(name)
    source = Path(str(backend.__file__)).read_text()  # type: ignore[attr-defined]
    assert fingerprint.lines_of_code(backend) == fingerprint.count(source)  # type: ignore[arg-type]
    assert 20 < fingerprint.lines_of_code(backend) < len(source.splitlines())  # type: ignore[arg-type]

"""Lines of code: what holds code counts; blank lines, comments and docstrings do not."""

import importlib
from pathlib import Path

import pytest

import impls
from bench.timing.source import count, lines_of_code

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
    assert count(SOURCE) == 13


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
    assert count(source) == lines


@pytest.mark.parametrize("name", ["naive", "vectorized", "minibatch", "numba", "scipy_sparse"])
def test_of_a_backend(name: str) -> None:
    backend = impls.load(name)
    source = Path(str(backend.__file__)).read_text()  # type: ignore[attr-defined]
    assert lines_of_code(backend) == count(source)  # type: ignore[arg-type]
    assert 20 < lines_of_code(backend) < len(source.splitlines())  # type: ignore[arg-type]


def test_of_a_backend_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them count, in whatever folder of the package."""
    for name, lines in {"__init__": 1, "kernels": 2, "more/__init__": 0, "more/part": 3}.items():
        path = tmp_path / "backend_in_files" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text('"""A docstring."""\n\n' + "x = 1  # code\n" * lines)
    (tmp_path / "elsewhere.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert lines_of_code(importlib.import_module("backend_in_files")) == 6


def test_of_the_backend_in_two_files() -> None:
    found = lines_of_code(impls.load("numba_sparse"))  # type: ignore[arg-type]
    folder = Path(impls.__file__).parent / "numba_sparse"
    assert found == sum(count((folder / name).read_text()) for name in ("__init__.py", "kernels.py"))

"""The source files of a backend, and its lines of code, which its own process counts."""

import ast
import io
from pathlib import Path
from tokenize import COMMENT, DEDENT, ENDMARKER, INDENT, NEWLINE, NL, generate_tokens
from types import ModuleType

NO_CODE = {COMMENT, NL, NEWLINE, INDENT, DEDENT, ENDMARKER}


def source_files(origin: Path) -> list[Path]:
    """The source files of a backend, from the file that its import runs: one of a module, all of a package."""
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def lines_of_code(module: ModuleType) -> int:
    """Return how many lines hold code, in all files of a backend: no blank lines, comments or docstrings."""
    return sum(count(path.read_text(encoding="utf-8")) for path in source_files(Path(str(module.__file__))))


def count(source: str) -> int:
    """Return the lines of code in the source text of one file."""
    lines: set[int] = set()
    for token in generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(lines)

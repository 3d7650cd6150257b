"""The source files of a backend, in Python or C, and its lines of code, which its own process counts."""

import ast
import io
import re
from pathlib import Path
from tokenize import COMMENT, DEDENT, ENDMARKER, INDENT, NEWLINE, NL, generate_tokens
from types import ModuleType

NO_CODE = {COMMENT, NL, NEWLINE, INDENT, DEDENT, ENDMARKER}


def source_files(origin: Path) -> list[Path]:
    """The source files of a backend, from the file that its import runs: one of a module, all of a package."""
    return sources_in(origin.parent) if origin.name == "__init__.py" else [origin]


def sources_in(folder: Path) -> list[Path]:
    """All source files in this folder and below."""
    return sorted(path for suffix in ("py", "c") for path in folder.rglob(f"*.{suffix}"))


def lines_of_code(module: ModuleType) -> int:
    """Return how many lines hold code, in all files of a backend: no blank lines, comments or docstrings."""
    files = source_files(Path(str(module.__file__)))
    return sum((count_c if path.suffix == ".c" else count)(path.read_text(encoding="utf-8")) for path in files)


def count_c(source: str) -> int:
    """Return the lines of code in the source text of one file in C, without /* comments */ and blank lines."""
    return sum(bool(line.strip()) for line in re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL).splitlines())


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

"""Tables and sections as Markdown."""

import html
import re

from bench.tables.table import Section, Table, printable


def for_markdown(table: Table) -> str:
    """The table in GitHub's form."""
    rule = ["---" if i < table.columns_of_text else "---:" for i in range(len(table.heads))]
    texts = [[markdown_text(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [map(markdown_text, table.heads), rule, *texts])


def markdown_text(text: str) -> str:
    """The text, escaped so that Markdown and HTML in it are shown as they are."""
    marks = r"([\\`*_|~#]|\](?=\())"
    return re.sub(marks, r"\\\1", html.escape(printable(text), quote=False))


def section_as_markdown(section: Section) -> list[str]:
    """The paragraphs of a section, its title first."""
    parts = [f"## {markdown_text(section.title)}", *map(markdown_text, section.lines)]
    for table in section.tables:
        parts.append(f"### {markdown_text(table.title)}")
        parts.append(for_markdown(table) if table.rows else "Nothing was measured.")
        parts += map(markdown_text, table.notes)
    parts.append(section.explanation)
    return parts

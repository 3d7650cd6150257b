"""Tables as Markdown and CSV, and every raw sample."""

import csv
import html
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.records.files import ResultSet
from bench.tables.table import Sheet, printable
from reports.answers import answers
from reports.sections import headlines, left_out, origins, remarks, sections
from reports.selection import Chosen

if TYPE_CHECKING:
    pass


def for_markdown(sheet: Sheet) -> str:
    """The table in GitHub's form."""
    rule = ["---" if i < sheet.columns_of_text else "---:" for i in range(len(sheet.heads))]
    texts = [[markdown_text(cell) for cell in row] for row in sheet.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [map(markdown_text, sheet.heads), rule, *texts])


def markdown_text(text: str) -> str:
    """The text as it is, whatever Markdown or HTML it may contain."""
    marks = r"([\\`*_|~#]|\](?=\())"
    return re.sub(marks, r"\\\1", html.escape(printable(text), quote=False))


def for_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows, heads first, as RFC 4180 has them, but with plain line ends. A name that a spreadsheet would take for a
    formula gets an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([literal(printable(" ".join(cell.split()))) for cell in row] for row in rows)
    return text.getvalue()


def literal(cell: str) -> str:
    """No formula, whatever a name begins with; a negative number is none."""
    return f"'{cell}" if re.match(r"[=+@]|-(?![\d.])", cell) else cell


def file_name(title: str) -> str:
    """What a title is called among files: letters, digits and hyphens alone, so that no name leads anywhere else."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60] or "table"


def markdown_summary(chosen: Chosen) -> str:
    """All sections as Markdown."""
    parts = ["# digitbench", *map(markdown_text, headlines(chosen))]
    parts += [f"**{markdown_text(notice)}**" for notice in chosen.notices]
    parts.append("## Four questions")
    parts += [f"*{one.question}* {markdown_text(one.answer)}" for one in answers(chosen)]
    for section in sections(chosen):
        parts.append(f"## {markdown_text(section.title)}")
        parts += map(markdown_text, section.lines)
        for sheet in section.sheets:
            parts.append(f"### {markdown_text(sheet.title)}")
            parts.append(for_markdown(sheet) if sheet.rows else "Nothing was measured.")
            parts += [markdown_text(note) for note in sheet.notes]
        parts.append(section.explanation)
    if lines := left_out(chosen):
        parts += ["## Left out", "\n".join(f"- {markdown_text(line)}" for line in lines)]
    parts += map(markdown_text, remarks(chosen))
    parts.append("\n".join(f"- {markdown_text(f'{name}: {said}')}" for name, said in origins(chosen)))
    return "\n\n".join(parts) + "\n"


def csv_files(chosen: Chosen) -> dict[str, str]:
    """Every table as CSV, by the name of its file, and every raw sample."""
    files = {"samples.csv": for_csv(samples(chosen.files))}
    for section in sections(chosen):
        for sheet in section.sheets:
            name, number = f"{file_name(sheet.title)}.csv", 2
            while name in files:
                name, number = f"{file_name(sheet.title)}-{number}.csv", number + 1
            files[name] = for_csv([sheet.heads, *sheet.rows])
    return files


def samples(files: list[ResultSet]) -> list[list[str]]:
    """Every raw sample under its heads: seconds as they were measured, on so many images."""
    heads = ["file", "of", "backend", "plan", "generation_or_seed", "round", "images", "wall_s", "user_s", "system_s"]
    rows = [heads]
    for results in files:
        for measured in results.measurements:
            what = [results.path.name, measured.quantity, measured.backend, measured.plan]
            times = zip(measured.samples, measured.user_samples, measured.system_samples, strict=True)
            rows += [[*what, "", str(i), str(measured.images), *map(repr, time)] for i, time in enumerate(times)]
        for race in results.races:
            for name, participant in race.participants.items():
                plan = ", ".join(filter(None, [race.key["plan"], str(race.about.get("way", ""))]))
                what = [results.path.name, race.key["measure"], name, plan]
                for training in sorted(participant.trainings, key=lambda one: one.seed):
                    of = [results.path.name, "training", name, training.setting if race.about else plan]
                    seconds = map(repr, (training.wall, training.user, training.system))
                    rows.append([*of, str(training.seed), "", str(training.images), *seconds])
                for one in sorted(participant.samples, key=lambda one: (one.generation, one.round)):
                    counts = one.generation, one.round, participant.images
                    rows.append([*what, *map(str, counts), repr(one.wall), repr(one.user), repr(one.system)])
    return rows


def answers_as_markdown(chosen: Chosen) -> str:
    """The four answers as a file of their own."""
    parts = ["# Four questions"]
    for i, one in enumerate(answers(chosen), start=1):
        parts.append(f"**{i}. {one.question}**\n\n{markdown_text(one.answer)}")
    parts += [f"**{markdown_text(notice)}**" for notice in chosen.notices]
    return "\n\n".join(parts) + "\n"

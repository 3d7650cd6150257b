"""A report as Markdown and CSV, and every raw sample."""

import csv
import io
import re
from collections.abc import Sequence

from bench.records.files import ResultSet
from bench.tables.markdown import for_markdown, markdown_text, section_as_markdown
from bench.tables.table import printable
from reports.sections import Report


def for_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows, heads first, as CSV (RFC 4180) with plain line ends; what a spreadsheet takes for a formula gets a '."""
    text = io.StringIO()
    literal = [[printable(" ".join(cell.split())) for cell in row] for row in rows]
    formula = re.compile(r"[=+@]|-(?![\d.])")  # a negative number is none
    quoted = [[f"'{cell}" if formula.match(cell) else cell for cell in row] for row in literal]
    csv.writer(text, lineterminator="\n").writerows(quoted)
    return text.getvalue()


def file_name(title: str) -> str:
    """The file name of a title: letters, digits and hyphens alone, so that it cannot lead to another folder."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60] or "table"


def markdown_summary(report: Report) -> str:
    """A report as Markdown, without its figures and limits."""
    summary = f"**{markdown_text(report.summary.sentence)}** {markdown_text(report.summary.note)}".strip()
    parts = ["# digitbench", summary, *map(markdown_text, report.headlines), *notices_as_markdown(report)]
    parts.append("## Four questions")
    parts += [f"*{one.question}* {markdown_text(one.text)}" for one in report.answers]
    if report.beside:
        parts += [f"## {report.beside.title}", for_markdown(report.beside), *map(markdown_text, report.beside.notes)]
    for section in report.sections:
        parts += section_as_markdown(section)
    if report.left_out:
        parts += ["## Left out", "\n".join(f"- {markdown_text(line)}" for line in report.left_out)]
    parts += map(markdown_text, report.remarks)
    parts.append("\n".join(f"- {markdown_text(f'{name}: {origin}')}" for name, origin in report.origins))
    return "\n\n".join(parts) + "\n"


def notices_as_markdown(report: Report) -> list[str]:
    """The notices, which are shown with all results."""
    return [f"**{markdown_text(notice)}**" for notice in report.chosen.notices]


def answers_as_markdown(report: Report) -> str:
    """The four answers as a file of their own."""
    parts = ["# Four questions"]
    for i, one in enumerate(report.answers, start=1):
        parts.append(f"**{i}. {one.question}**\n\n{markdown_text(one.text)}")
    return "\n\n".join([*parts, *notices_as_markdown(report)]) + "\n"


def csv_files(report: Report) -> dict[str, str]:
    """Every table as CSV, by the name of its file, and every raw sample."""
    files = {"samples.csv": for_csv(samples(report.chosen.files))}
    tables = [table for section in report.sections for table in section.tables]
    for table in [*([report.beside] if report.beside else []), *tables]:
        name, number = f"{file_name(table.title)}.csv", 2
        while name in files:
            name, number = f"{file_name(table.title)}-{number}.csv", number + 1
        files[name] = for_csv([table.heads, *table.rows])
    return files


def samples(files: list[ResultSet]) -> list[list[str]]:
    """Every raw sample under its heads: seconds as they were measured, on so many images."""
    rows = [["file", "of", "backend", "plan", "generation_or_seed", "round", "images", "wall_s", "user_s", "system_s"]]
    for results in files:
        for measured in results.measurements:
            what = [results.path.name, measured.quantity, measured.backend, measured.plan, ""]
            times = zip(measured.samples, measured.user_samples, measured.system_samples, strict=True)
            rows += [[*what, str(i), str(measured.images), *map(repr, time)] for i, time in enumerate(times)]
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

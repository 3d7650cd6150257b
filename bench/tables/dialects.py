"""Libraries and the contract: the same, the same with a remedy, or how they differ."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from textwrap import fill
from typing import NamedTuple

from bench.dialects.questions import GROUPS, QUESTIONS, Answer, Question
from bench.records.dialects import Dialects, Heard
from bench.records.files import ResultSet
from bench.tables.table import NONE, Section, Table, or_dash, printable

CONTRACT = "digitbench"  # asked like a library, to show that the contract says what is written here
SAME, IF, DIFFERS, OPEN, FAILED = "same", "if", "differs", "open", "failed"
COLUMNS = 7  # of libraries in the overview, for which a terminal of 80 columns has room
ANSWER_WIDTH, NAMES_WIDTH = 36, 20  # characters of a line, in tables of at most 100
EXPLANATION = (
    "Same: what the contract (impls/contract.py) says. If: the library as it is differs, and was asked again with the "
    "remedy below its table, which gave the contract's answer. Differs: no remedy was shown. A dash: there is nothing "
    "to ask in this library, or it cannot be asked here. Every answer was measured by a small program in "
    "bench/dialects/; the possible answers were computed in plain NumPy."
)
LIMITS = ["Answers of libraries are of these versions, on one machine; bits depend on the processor, too."]


class Verdict(NamedTuple):
    """What is said of one answer: a word for the overview, in full, and how to get the contract's training."""

    short: str
    long: str
    remedy: str | None = None


def verdict_of(heard: Heard) -> Verdict:
    """What an answer is, beside the contract's."""
    question, said = QUESTIONS[heard.question], heard.said
    if said.answer is None:
        return Verdict(NONE if said.not_asked else FAILED, said.not_asked or f"failed: {said.failure}")
    reading = question.reading_of(said.answer)
    words = reading.says if reading else "none of the expected answers"
    if question.is_open:
        return Verdict(OPEN, in_words(words, said.answer), heard.advice)
    if reading is question.readings[0]:
        return Verdict(SAME, f"same: {words}")
    long = f"{in_words(words, said.answer)}; {difference(question, said.answer)}"
    remedied = heard.remedied
    if remedied is None:
        return Verdict(DIFFERS, long, heard.advice)
    if remedied.answer is not None and question.reading_of(remedied.answer) is question.readings[0]:
        return Verdict(IF, f"same only with the remedy; {long}", remedied.asked)
    return Verdict(
        DIFFERS, long, f"not shown here ({remedied.not_asked or remedied.failure or 'differs'}): {remedied.asked}"
    )


def in_words(words: str, answer: Answer) -> str:
    """A reading with the numbers that were measured."""
    return f"{words} ({written(answer)})"


def written(answer: Answer) -> str:
    """Numbers and words, separated by commas."""
    return ", ".join(one if isinstance(one, str) else f"{one + 0:.5g}" for one in answer)


def difference(question: Question, answer: Answer) -> str:
    """By how much an answer differs from the contract's, or where it is no single number, from what it differs."""
    expected = question.readings[0].value or []
    if len(answer) == len(expected) == 1 and not isinstance(answer[0], str) and not isinstance(expected[0], str):
        return f"differs by {abs(answer[0] - expected[0]):.3g}"
    return f"differs from {written(expected)}"


def dialects_sections(results: ResultSet) -> list[Section]:
    """The section with an overview, and a table for each group of questions with the remedies below it."""
    dialects = results.dialects
    assert dialects is not None
    known = [heard for heard in dialects.heard if heard.question in QUESTIONS]
    lines = [
        f"The same settings, in {len(dialects.libraries)} libraries, beside the contract of impls/contract.py.",
        f"Asked: {dialects_setting(results)}.",
        f"Started {dialects.when} by {dialects.command}",
        *(f"Not asked: {name}: {printable(why)}" for name, why in dialects.absent.items()),
    ]
    unknown = dict.fromkeys(heard.question for heard in dialects.heard if heard.question not in QUESTIONS)
    lines += [f"Not shown, as this version does not have the question: {printable(name)}" for name in unknown]
    tables = [overview(dialects, known), *(group_table(title, known, questions) for title, questions in GROUPS.items())]
    return [Section("Dialects: where the same settings train differently", lines, tables, EXPLANATION)]


def dialects_setting(results: ResultSet) -> str:
    """The libraries with their versions, in a line."""
    assert results.dialects is not None
    return " · ".join(f"{name} ({what})" if what else name for name, what in results.dialects.libraries.items())


def overview(dialects: Dialects, known: Sequence[Heard]) -> Table:
    """Questions down, libraries across, a word in each cell; without open questions, which have no right answer."""
    answers = Counter(heard.library for heard in known if heard.library != CONTRACT)
    most = [name for name, _ in answers.most_common(COLUMNS)]
    libraries = [name for name in dialects.libraries if name in most]
    by_place = {(heard.question, heard.library): heard for heard in known}
    rows = []
    for name, question in QUESTIONS.items():
        here = [by_place.get((name, library)) for library in libraries]
        if not question.is_open and any(here):
            rows.append([question.title, *(or_dash(one, lambda heard: verdict_of(heard).short) for one in here)])
    others = [name for name in answers if name not in most]
    notes = [f"In the tables below alone, as they have fewer answers: {', '.join(others)}"] if others else []
    heads = [name.replace(":", ":\n") for name in libraries]
    return Table("Questions and libraries", ("question", *heads), rows, notes)


def group_table(title: str, known: Sequence[Heard], questions: Sequence[Question]) -> Table:
    """Each question with its answers; libraries that answer the same share a row. Below: questions and remedies."""
    rows, notes = [], []
    for question in questions:
        answers = [(verdict_of(heard), heard) for heard in known if heard.question == question.name]
        if not answers:
            continue
        together = sorted(answers, key=lambda pair: pair[0].long)
        for long, several in groupby(together, key=lambda pair: pair[0].long):
            names = ", ".join(heard.library for _, heard in several)
            rows.append([question.title, fill(printable(long), ANSWER_WIDTH), fill(names, NAMES_WIDTH)])
        notes.append(f"{question.title}: {question.asks} The contract: {question.contract}")
        asked = sorted((heard.said.asked, heard.library) for _, heard in answers)
        notes.append(f"{question.title}, as it was asked: {'; '.join(grouped(asked))}")
        remedies = sorted((verdict.remedy, heard.library) for verdict, heard in answers if verdict.remedy)
        notes += [f"{question.title}, remedy: {line}" for line in grouped(remedies)]
    return Table(title, ("question", "answer", "libraries"), rows, notes, columns_of_text=3)


def grouped(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Texts with the libraries of each. pairs: of text and library, sorted."""
    return [
        f"{text} ({', '.join(library for _, library in several)})"
        for text, several in groupby(pairs, key=lambda pair: pair[0])
    ]

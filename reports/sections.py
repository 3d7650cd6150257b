"""What a report says, section by section, and all of it as Markdown."""

from functools import lru_cache

from bench.results import ResultSet
from bench.standings import GROWING
from reports import accuracy, answers, article, compared, peers, races, steps, tables, trained
from reports.chosen import Chosen, without
from reports.figures import DRAWINGS
from reports.tables import Section, file_name, for_csv, for_markdown, markdown_text

ABOUT_ALL = [
    "They are times of one machine on one occasion. On another machine, or on this one while it does other work, both "
    "the times and their ratios differ."
]
ABOUT_BENCHMARKS = [
    "All backends of the benchmarks ran in one process, one after another. Their samples were not interleaved, so what "
    "the machine did meanwhile may have hit one backend and spared another.",
    "The ranges beside the ratios of the benchmarks are over the few samples of each backend. They are not confidence "
    "intervals.",
    "A round on one plan and a round on another are different amounts of learning: compare times of a round within the "
    "second table, or time and accuracy together.",
    "Each training is one run from one set of initial parameters. Another set would end at another accuracy.",
    "Only the training and the outputs are on the clock. What comes before, a compilation among it, is not.",
]
ABOUT_RACES = [
    "What favours one backend for longer than a generation of processes, a race does not see; nor can few generations "
    "show a backend whose processes come in two kinds.",
    "The races of a sweep take turns by generations, not by rounds: growth is less sure than a ratio within a race.",
]
NO_BENCHMARKS = (
    "Accuracy, and each backend at home: no results of pytest --benchmark-only --benchmark-json=FILE are among these."
)


OF_A_RACE = ["ratios", "lines-of-code", "break-even", "memory", "roofline", "agreement"]  # figures


@lru_cache(maxsize=1)  # terminal, Markdown, CSV and page ask for the same
def sections(chosen: Chosen) -> list[Section]:
    """One for each kind of results that there are."""
    found = accuracy.sections(chosen.accuracy) if chosen.accuracy else []
    found += steps.of_waterfall(chosen.waterfall) if chosen.waterfall else []
    found += steps.of_batches(chosen.batches) if chosen.batches else []
    found += [of_benchmarks(chosen.benchmarks)] if chosen.benchmarks else []
    found += [of_race(chosen.race)] if chosen.race else []
    found += [compared.beside_each_other(chosen.side_by_side)] if chosen.side_by_side else []
    found += peers.sections(chosen.peers) if chosen.peers else []
    found += compared.sections(chosen.comparison) if chosen.comparison else []
    found += [of_sweep(what, results) for what, results in chosen.sweeps.items()]
    found += [of_calibrations(chosen.calibrations)] if chosen.calibrations else []
    found += article.sections(chosen.article, chosen.grid, chosen.relu)
    return found + (trained.sections(chosen.network) if chosen.network else [])


def of_benchmarks(results: ResultSet) -> Section:
    """The two tables of pytest-benchmark's results."""
    sheets = [tables.at_home(results).sheet, tables.on_same_plan(results).sheet]
    figures = [drawing.name for drawing in DRAWINGS]
    return Section("The benchmarks, one backend after the other", [], sheets, tables.EXPLANATION, figures)


def of_race(results: ResultSet) -> Section:
    """One race."""
    (race,) = results.races
    sheets = [races.standings(race), races.beside(race)]
    explanation = f"{races.WHAT_THE_RACE_IS} {races.WHAT_STANDS_BESIDE}"
    return Section("A race, taking turns", races.told(race), sheets, explanation, OF_A_RACE)


def of_sweep(what: str, results: ResultSet) -> Section:
    """Races that differ in one thing."""
    lines = [f"{races.setting_of(results.races)}.", races.begun(results.races[0]), *races.disturbed(results.races)]
    figures = [f"growth-{what}", f"roofline-{what}"]
    return Section(f"A sweep: {GROWING[what]}", lines, [races.growth(results.races)], races.WHAT_GROWTH_IS, figures)


def of_calibrations(several: list[ResultSet]) -> Section:
    """How far verdicts can be trusted."""
    every = [race for results in several for race in results.races]
    lines = [f"{races.backends_of(every[-1])} against itself: {races.setting(every[-1])}."]
    lines += [races.begun_each(every), *races.disturbed(every)]
    return Section("Can verdicts be trusted?", lines, [races.trust(several)], races.WHAT_TRUST_IS, ["calibration"])


def headlines(chosen: Chosen) -> list[str]:
    """The report in a sentence or two."""
    found = [accuracy.headline(chosen.accuracy)] if chosen.accuracy else []
    found += [tables.headline(chosen.benchmarks)] if chosen.benchmarks else []
    return found + ([races.headline(chosen.race.races[0])] if chosen.race else [])


def left_out(chosen: Chosen) -> list[str]:
    """Who is in no table and no figure: a line each, with the reason."""
    lines = [line for results in chosen.files for line in tables.left_out(results)]
    denied = (
        f"{name}: {why}" for results in chosen.files for race in results.races for name, why in race.denied.items()
    )
    return list(dict.fromkeys([*lines, *denied]))


def limits(chosen: Chosen) -> list[str]:
    """What these numbers do not say."""
    others = [*chosen.of_steps, *chosen.of_article, *filter(None, [chosen.accuracy])]
    raced = any(results.races for results in without(chosen.files, others))
    return (
        ABOUT_ALL
        + accuracy.LIMITS * bool(chosen.accuracy)
        + steps.LIMITS * bool(chosen.of_steps)
        + article.LIMITS * bool(chosen.of_article)
        + ABOUT_BENCHMARKS * bool(chosen.benchmarks)
        + ABOUT_RACES * raced
    )


def origins(chosen: Chosen) -> list[tuple[str, str]]:
    """Each file that is shown: its name, and when it was begun, at which commit, and of what it is."""
    found = []
    for results in chosen.files:
        if results is chosen.accuracy:
            about = accuracy.setting(results)
        elif results in chosen.of_steps:
            about = steps.setting(results)
        elif results in chosen.of_article:
            about = article.setting(results)
        elif results is chosen.peers:
            about = peers.setting(results)
        elif results is chosen.comparison:
            about = f"{races.work(results.races[0])}: {races.setting(results.races[0])}"
        elif results is chosen.network:
            about = trained.about(results)
        else:
            about = races.setting_of(results.races) if results.races else tables.setting(results)
        commit = results.machine.get("commit", "unknown")
        found.append((results.path.name, f"{results.when} · commit {commit} · {about}"))
    return found


def remarks(chosen: Chosen) -> list[str]:
    """What is to be said of the choice of results."""
    first, *others = chosen.files
    described = [f"The machine and its software are described as {first.path.name} has them."] * bool(others)
    return [NO_BENCHMARKS] * (chosen.benchmarks is None) + described + chosen.notes


def summary(chosen: Chosen) -> str:
    """All sections as Markdown."""
    parts = ["# digitbench", *map(markdown_text, headlines(chosen))]
    parts += [f"**{markdown_text(notice)}**" for notice in chosen.notices]
    parts.append("## Four questions")
    parts += [f"*{one.question}* {markdown_text(one.answer)}" for one in answers.answers(chosen)]
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
        rows += [[results.path.name, *row] for row in article.samples(results.races)]
        for race in results.races:
            for name, entrant in race.entrants.items():
                plan = ", ".join(filter(None, [race.key["plan"], str(race.about.get("way", ""))]))
                what = [results.path.name, race.key["measure"], name, plan]
                for training in sorted(entrant.trainings, key=lambda one: one.seed):
                    where = training.seed, "", training.images or race.key["images"]
                    rows.append([*what, *map(str, where), repr(training.wall), "", ""])
                for one in sorted(entrant.samples, key=lambda one: (one.generation, one.round)):
                    counts = one.generation, one.round, entrant.images
                    rows.append([*what, *map(str, counts), repr(one.wall), repr(one.user), repr(one.system)])
    return rows

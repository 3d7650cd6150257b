"""Change the backends' arithmetic in one place at a time and see whether the tests notice; README.md says more."""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import unified_diff
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of, mutated
from tests.mutation.plain import NOT_MUTATED
from tests.mutation.runner import SETTINGS, Result, Target, preload, run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "build" / "mutation"
# By backend; further files of one by backend and file.
FILES = {
    "naive": "impls/naive.py",
    "vectorized": "impls/vectorized.py",
    "minibatch": "impls/minibatch.py",
    "numba": "impls/numba_loops.py",
    "numba_dense": "impls/numba_dense.py",
    "numba_sparse": "impls/numba_sparse/__init__.py",
    "numba_sparse.kernels": "impls/numba_sparse/kernels.py",
}
BACKENDS = [name for name in FILES if "." not in name]
TESTS = "tests/suite/test_conformance.py --backend={backend}"
# Held against itself, the reference would always be right.
TESTS_OF_REFERENCE = "tests/impls/test_reference.py tests/impls/test_reference_against_torch_and_sklearn.py"
# Without the tests that take longest in plain Python; most are made up for by the backends' own tests.
WITHOUT_LONG_ONES = (
    "-k 'not sixty_thousand_images and not whole_training and not training_agrees and not wide_layers "
    "and not same_answer_twice and not one_thread_and_two_agree and not _of_any_'"
)
SHORTER = {"numba_dense": WITHOUT_LONG_ONES, "numba_sparse": WITHOUT_LONG_ONES}
# What a backend promises beyond the contract; first, as few tests kill most mutants; of these the quickest first.
OWN_TESTS = {
    "minibatch": "tests/impls/test_minibatch.py ",
    "numba_dense": "".join(
        f"tests/impls/test_numba_backends.py::{test} "
        for test in (
            "test_layers_that_fill_their_memory",
            "test_blocks_of_columns_and_their_parts",
            "test_as_many_sums_as_there_are_registers",
            "test_memory_begins_where_a_cache_line_does",
            "test_updates_in_blocks_of_images",
            "test_what_a_thread_raises_reaches_the_caller[numba_dense]",
            "test_more_threads_than_there_is_work[numba_dense]",
            "test_the_exponential",
        )
    ),
    "numba_sparse": "".join(
        f"tests/impls/test_numba_backends.py::{test} "
        for test in (
            "test_pixels_are_numbered_in_16_bits",
            "test_how_threads_share_the_first_layer",
            "test_threads_that_would_not_help_are_left_alone",
            "test_memory_begins_where_a_cache_line_does",
            "test_no_memory_for_layers_that_are_not_there",
            "test_updates_in_blocks_of_images",
            "test_bytes_and_floats_are_of_one_type",
            "test_what_a_thread_raises_reaches_the_caller",
            "test_sigmoid_and_softmax_by_vectors",
            "test_bits_of_any_number_of_pixels",
            "test_what_a_block_of_images_has",
            "test_a_pixel_that_is_not_a_number_is_not_skipped",
            "test_a_thread_lists_the_groups_of_its_part_and_has_masks_of_all",
            "test_an_odd_last_pixel_is_the_last_that_is_read",
            "test_layers_that_fill_their_memory",
            "test_every_division_computes_the_same",
            "test_more_threads_than_there_is_work[numba_sparse]",
            "test_any_share_of_zeros",
            "test_images_stay_where_they_are",
        )
    ),
}
PYTEST = "-x -q --tb=no -p no:cacheprovider"


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "backends", nargs="*", metavar="BACKEND", help=f"of {', '.join(BACKENDS)}; all if none is named"
    )
    parser.add_argument("--jobs", type=int, default=cores(), help="mutants at the same time (the cores: %(default)s)")
    parser.add_argument(
        "--tests", metavar="ARGUMENTS", help=f"pytest's (default: {TESTS}; naive: {TESTS_OF_REFERENCE})"
    )
    parser.add_argument("--list", action="store_true", help="count the mutants, name what has none, and run nothing")
    parser.add_argument(
        "--sample",
        type=int,
        default=1,
        metavar="N",
        help="Run every N-th mutant only (default: %(default)s, all)",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--fresh", action="store_true", help="forget earlier results")
    again.add_argument("--survivors", action="store_true", help="tests were added: run only earlier survivors again")
    options = parser.parse_args()
    unknown = sorted(set(options.backends) - set(BACKENDS))
    if unknown:
        parser.error(f"backend {unknown[0]!r} is unknown; there are: {', '.join(BACKENDS)}")
    for option in ("jobs", "sample"):
        if getattr(options, option) < 1:
            parser.error(f"--{option} {getattr(options, option)}: expected 1 or more")
    wanted = options.backends or BACKENDS
    options.files = [name for name in FILES if backend_of(name) in wanted]
    return options


def backend_of(name: str) -> str:
    """The backend that a file of FILES belongs to."""
    return name.partition(".")[0]


def tests_of(backend: str) -> str:
    """The tests that are run on its mutants, as pytest's arguments."""
    if backend == "naive":
        return TESTS_OF_REFERENCE
    return f"{OWN_TESTS.get(backend, '')}{TESTS} {SHORTER.get(backend, '')}".rstrip()


def cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def snapshot() -> Iterator[Path]:
    """A copy of the rooms as they are now, to work in: what is edited meanwhile changes nothing."""
    unneeded = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "cache", "results", "out")
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = shutil.copytree(ROOT, Path(folder) / "tree", ignore=unneeded)
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        try:
            yield tree
        finally:
            os.chdir(ROOT)


# --- one file ------------------------------------------------------------------------------------------------


def mutate(name: str, options: argparse.Namespace, tree: Path) -> tuple[str, dict[Mutant, Result]]:
    """The source of a file and the results of all its mutants, each written to disk as soon as it is known."""
    source = (tree / FILES[name]).read_text()
    mutants = mutants_of(source, NOT_MUTATED.get(name, ()))[:: options.sample]
    tests = options.tests or tests_of(backend_of(name))
    target = target_of(name, source, tests)
    header = {"tree": digest(tree), "source": hashlib.sha256(source.encode()).hexdigest(), "tests": tests}
    path = RESULTS / f"{name}.jsonl"
    results = {} if options.fresh else earlier(path, header, options.survivors)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *results.items())))

    def record(mutant: Mutant | None, result: Result) -> None:
        assert mutant is not None
        results[mutant] = result
        with path.open("a") as file:
            file.write(json.dumps((mutant, result)) + "\n")
        if result.outcome != "killed" or len(results) % 20 == 0:
            known = f"{name}: {len(results)} of {len(mutants)}"
            print(f"{known}; line {mutant.line}, {mutant.operator}: {result.outcome}", flush=True)

    run(target, [mutant for mutant in mutants if mutant not in results], options.jobs, record)
    return source, {mutant: results[mutant] for mutant in mutants}


def target_of(name: str, source: str, tests: str) -> Target:
    """The backend as it is has to pass; from the time that takes follows how long a mutant may take."""
    module = FILES[name].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    tests = tests.format(backend=backend_of(name))
    if module in sys.modules:
        raise SystemExit(
            f"error: {module} is imported when pytest starts, expected only by a test: no mutant can take its place; "
            "look for the import in conftest.py and in plugins"
        )
    arguments = shlex.split(f"{PYTEST} {tests}")
    target = Target(module, source, arguments, limit=1800)
    found: list[Result] = []
    run(target, [None], 1, lambda _, result: found.append(result))
    if found[0].outcome != "survived":
        settings = " ".join(f"{variable}={value}" for variable, value in SETTINGS.items())
        raise SystemExit(
            f"error: {name} fails {found[0].test or 'the tests'} without a mutation, expected it to pass; "
            f"try `{settings} python -m pytest {tests}`"
        )
    print(f"{name}: passes unchanged in {found[0].seconds:.1f} s", flush=True)
    return target._replace(limit=20 + 5 * found[0].seconds)


def digest(tree: Path) -> str:
    """The same for the same code, tests and settings."""
    paths = [*sorted(tree.rglob("*.py")), tree / "pyproject.toml"]
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()


def earlier(path: Path, header: dict[str, str], keep_killed: bool) -> dict[Mutant, Result]:
    """The results of an earlier run, as far as they hold: all, if nothing has changed; the kills, if that is asked."""
    if not path.exists():
        return {}
    old, *lines = map(json.loads, path.read_text().splitlines())
    results = {Mutant(*mutant): Result(*result) for mutant, result in lines}
    if old["source"] == header["source"] and keep_killed:
        return {mutant: result for mutant, result in results.items() if result.outcome != "survived"}
    return results if old == header else {}


# --- what came out -------------------------------------------------------------------------------------------


def block(name: str, source: str, mutant: Mutant) -> str:
    """A mutant as it stands in survivors.md: the file, the function, the lines before and after."""
    difference = unified_diff(source.splitlines(), mutated(source, mutant).splitlines(), n=0, lineterm="")
    changed = [line for line in list(difference)[2:] if not line.startswith("@@")]
    return "\n".join([f"@@ {name}, {mutant.function} @@", *changed])


def row(name: str, results: dict[Mutant, Result]) -> str:
    """A file's line of the table."""
    counts = Counter(result.outcome for result in results.values())
    noticed = counts["killed"] + counts["timeout"]
    score = 100 * noticed / max(noticed + counts["survived"], 1)
    minutes = sum(result.seconds for result in results.values()) / 60
    numbers = [len(results), *(counts[outcome] for outcome in ("killed", "timeout", "no program", "survived"))]
    return f"{name:20}" + "".join(f"{number:>12}" for number in numbers) + f"{score:>10.1f} %{minutes:>10.1f}"


def unexplained(names: list[str], survivors: list[str], sampled: bool) -> int:
    """Hold the survivors of these files against survivors.md; 0 if they are the same, or some of them, in a sample."""
    text = (HERE / "survivors.md").read_text()
    blocks = re.findall(r"^```diff\n(@@ ([\w.]+), .*?)\n```$", text, re.MULTILINE | re.DOTALL)
    explained = Counter(found for found, name in blocks if name in names)
    new = Counter(survivors) - explained
    gone = Counter() if sampled else explained - Counter(survivors)
    for title, some in (("survives, and survivors.md does not say why", new), ("survives no longer", gone)):
        for found in some.elements():
            print(f"\n{title}:\n{found}")
    print(f"\n{len(survivors)} survivors: {new.total()} not explained; {gone.total()} explained that survive no longer")
    return int(bool(new or gone))


def main() -> int:
    """Run; 0 if every survivor is explained."""
    options = read_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as Ctrl-C does
    os.environ.update(SETTINGS)
    if options.list:
        show_list(options.files)
        return 0
    rows, survivors = [], []
    with snapshot() as tree:
        preload(tree)
        for name in options.files:
            source, results = mutate(name, options, tree)
            rows.append(row(name, results))
            survivors += [block(name, source, m) for m, result in results.items() if result.outcome == "survived"]
    titles = ("mutants", "killed", "timeout", "no program", "survived", "score", "minutes")
    print(f"\n{'file':20}" + "".join(f"{title:>12}" for title in titles[:-1]) + f"{titles[-1]:>10}", *rows, sep="\n")
    show_not_mutated(options.files)
    return unexplained(options.files, survivors, options.sample > 1)


def show_list(names: list[str]) -> None:
    """How many mutants the files have, and what has none."""
    for name in names:
        mutants = mutants_of((ROOT / FILES[name]).read_text(), NOT_MUTATED.get(name, ()))
        print(f"{name:20}{len(mutants):6}")
    show_not_mutated(names)


def show_not_mutated(names: list[str]) -> None:
    """The functions without mutants, and why."""
    for name in names:
        for function, reason in NOT_MUTATED.get(name, {}).items():
            print(f"not mutated: {name}, {function}: {reason}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the next call continues from there")

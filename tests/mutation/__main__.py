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
from tests.mutation.runner import SETTINGS, Result, Target, preload, run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "build" / "mutation"
FILES = {name: f"impls/{name}.py" for name in ("naive", "vectorized", "minibatch")} | {"numba": "impls/numba_loops.py"}
TESTS = "tests/suite/test_conformance.py --backend={backend}"
# Held against itself, the reference would always be right.
TESTS_OF_REFERENCE = "tests/impls/test_reference.py tests/impls/test_reference_against_torch_and_sklearn.py"
PYTEST = "-x -q --tb=no -p no:cacheprovider"


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("backends", nargs="*", metavar="BACKEND", help=f"of {', '.join(FILES)}; all if none is named")
    parser.add_argument("--jobs", type=int, default=cores(), help="mutants at the same time (the cores: %(default)s)")
    parser.add_argument(
        "--tests", metavar="ARGUMENTS", help=f"pytest's (default: {TESTS}; naive: {TESTS_OF_REFERENCE})"
    )
    parser.add_argument("--list", action="store_true", help="count the mutants and run none")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--fresh", action="store_true", help="forget earlier results")
    again.add_argument("--survivors", action="store_true", help="tests were added: judge only earlier survivors again")
    options = parser.parse_args()
    unknown = sorted(set(options.backends) - set(FILES))
    if unknown:
        parser.error(f"backend {unknown[0]!r} is unknown; there are: {', '.join(FILES)}")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: expected 1 or more")
    options.backends = [name for name in FILES if name in options.backends or not options.backends]
    return options


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


# --- one backend ---------------------------------------------------------------------------------------------


def mutate(backend: str, options: argparse.Namespace, tree: Path) -> tuple[str, dict[Mutant, Result]]:
    """The source of a backend and the results of all its mutants, each written to disk as soon as it is known."""
    source = (tree / FILES[backend]).read_text()
    mutants = mutants_of(source)
    tests = options.tests or (TESTS_OF_REFERENCE if backend == "naive" else TESTS)
    target = target_of(backend, source, tests)
    header = {"tree": digest(tree), "source": hashlib.sha256(source.encode()).hexdigest(), "tests": tests}
    path = RESULTS / f"{backend}.jsonl"
    results = {} if options.fresh else earlier(path, header, options.survivors)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *results.items())))

    def record(mutant: Mutant | None, result: Result) -> None:
        assert mutant is not None
        results[mutant] = result
        with path.open("a") as file:
            file.write(json.dumps((mutant, result)) + "\n")
        if result.outcome != "killed" or len(results) % 20 == 0:
            known = f"{backend}: {len(results)} of {len(mutants)}"
            print(f"{known}; line {mutant.line}, {mutant.operator}: {result.outcome}", flush=True)

    run(target, [mutant for mutant in mutants if mutant not in results], options.jobs, record)
    return source, {mutant: results[mutant] for mutant in mutants}


def target_of(backend: str, source: str, tests: str) -> Target:
    """The backend as it is has to pass; from the time that takes follows how long a mutant may take."""
    module = FILES[backend].removesuffix(".py").replace("/", ".")
    if module in sys.modules:
        raise SystemExit(
            f"error: {module} is imported when pytest starts, expected only by a test: no mutant can take its place; "
            "look for the import in conftest.py and in plugins"
        )
    arguments = shlex.split(f"{PYTEST} {tests.format(backend=backend)}")
    target = Target(module, source, arguments, limit=1800)
    found: list[Result] = []
    run(target, [None], 1, lambda _, result: found.append(result))
    if found[0].outcome != "survived":
        settings = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
        raise SystemExit(
            f"error: {backend} fails {found[0].test or 'the tests'} without a mutation, expected it to pass; "
            f"try `{settings} python -m pytest {tests.format(backend=backend)}`"
        )
    print(f"{backend}: passes unchanged in {found[0].seconds:.1f} s", flush=True)
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


def block(backend: str, source: str, mutant: Mutant) -> str:
    """A mutant as it stands in survivors.md: the backend, the function, the lines before and after."""
    difference = unified_diff(source.splitlines(), mutated(source, mutant).splitlines(), n=0, lineterm="")
    changed = [line for line in list(difference)[2:] if not line.startswith("@@")]
    return "\n".join([f"@@ {backend}, {mutant.function} @@", *changed])


def row(backend: str, results: dict[Mutant, Result]) -> str:
    """A backend's line of the table."""
    counts = Counter(result.outcome for result in results.values())
    noticed = counts["killed"] + counts["timeout"]
    score = 100 * noticed / max(noticed + counts["survived"], 1)
    minutes = sum(result.seconds for result in results.values()) / 60
    numbers = [len(results), *(counts[outcome] for outcome in ("killed", "timeout", "no program", "survived"))]
    return f"{backend:12}" + "".join(f"{number:>12}" for number in numbers) + f"{score:>10.1f} %{minutes:>10.1f}"


def unexplained(backends: list[str], survivors: list[str]) -> int:
    """Hold the survivors of these backends against survivors.md; 0 if they are the same."""
    text = (HERE / "survivors.md").read_text()
    blocks = re.findall(r"^```diff\n(@@ (\w+), .*?)\n```$", text, re.MULTILINE | re.DOTALL)
    explained = Counter(found for found, backend in blocks if backend in backends)
    new, gone = Counter(survivors) - explained, explained - Counter(survivors)
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
        for backend in options.backends:
            print(f"{backend:12}{len(mutants_of((ROOT / FILES[backend]).read_text())):6}")
        return 0
    rows, survivors = [], []
    with snapshot() as tree:
        preload(tree)
        for backend in options.backends:
            source, results = mutate(backend, options, tree)
            rows.append(row(backend, results))
            survivors += [block(backend, source, m) for m, result in results.items() if result.outcome == "survived"]
    titles = ("mutants", "killed", "timeout", "no program", "survived", "score", "minutes")
    print(f"\n{'backend':12}" + "".join(f"{title:>12}" for title in titles[:-1]) + f"{titles[-1]:>10}", *rows, sep="\n")
    return unexplained(options.backends, survivors)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the next call goes on from there")

"""What makes pytest-benchmark safe to use here; a plugin that `conftest.py` registers.

It writes, compares and groups after all was measured, so whatever would fail then is refused before, and what it
compares does not change between two runs on one machine.
"""

import importlib.util
import json
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from bench.records import environment
from bench.records.journal import differences
from command_line import output_file
from untrusted import kind_of

GROUPINGS = ("group", "name", "func", "fullname", "fullfunc", "param")
PARAMETERS = ("backend", "case")  # of the benchmarks, as in `bench_epoch[naive-full batch]`; not every one has both
FILE_STORAGE, SERVER_STORAGE = "file://", "elasticsearch+"
OF_RUNS = ("json", "save", "autosave", "histogram", "compare", "compare_fail")  # options that need measurements


# --- options ---------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Raise UsageError for options that would fail, or lose measurements, once all is measured."""
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist has the options of its parent
        check_workers(config)
        check_grouping(config.getoption("benchmark_group_by"))
        check_compared(config.getoption("benchmark_compare"))
        check_outputs(config)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Raise UsageError where --benchmark-compare-fail has nothing to compare with."""
    if session.config.getoption("benchmark_compare_fail") and not session.config._benchmarksession.compared_mapping:  # type: ignore[attr-defined]
        raise pytest.UsageError(
            "--benchmark-compare-fail: expected an earlier run, found none; "
            "name it with --benchmark-compare=NUM and --benchmark-storage"
        )


def check_workers(config: pytest.Config) -> None:
    """Raise UsageError for results of benchmarks that workers share, which measure nothing."""
    asked_for = [name for name in OF_RUNS if config.getoption(f"benchmark_{name}")]
    if asked_for and config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            f"{flag(asked_for[0])}: expected one process, as workers disturb each other and measure nothing; "
            "leave out -n, or give -n 0"
        )


def check_grouping(labels: str) -> None:
    """Raise UsageError for groups that pytest-benchmark does not know, and parameters that no benchmark has."""
    known = (*GROUPINGS, *(f"param:{name}" for name in PARAMETERS))
    for label in labels.split(","):
        if label not in known:
            raise pytest.UsageError(f"{flag('group_by')}={labels}: expected one of {', '.join(known)}, found {label!r}")


def check_compared(run: str | bool | list[str]) -> None:
    """Raise UsageError for a run to compare with that is neither a file nor a pattern of files in the storage."""
    if isinstance(run, str) and kind_of(run) != "file" and len(Path(run).parts) > 2:
        raise pytest.UsageError(
            f"{flag('compare')}={run}: expected a file that exists, or a number of a run in --benchmark-storage"
        )


def check_outputs(config: pytest.Config) -> None:
    """Raise UsageError for files that cannot be written, and for what is not installed."""
    json_file, storage = config.getoption("benchmark_json"), config.getoption("benchmark_storage")
    if json_file is not None:
        try:
            output_file(str(json_file))
        except ArgumentTypeError as error:
            raise pytest.UsageError(f"{flag('json')}: {error}") from None
    if storage.startswith(SERVER_STORAGE):
        check_installed("storage", "elasticsearch")
    elif "://" in storage and not storage.startswith(FILE_STORAGE):
        raise pytest.UsageError(f"{flag('storage')}={storage}: expected a folder, or {SERVER_STORAGE}http://HOST/INDEX")
    elif config.getoption("benchmark_save") or config.getoption("benchmark_autosave"):
        check_folder("storage", Path(storage.removeprefix(FILE_STORAGE)))
    for name in ("histogram", "cprofile_dump"):
        for prefix in config.getoption(f"benchmark_{name}"):
            check_folder(name, Path(prefix).parent)
    if config.getoption("benchmark_histogram"):
        check_installed("histogram", "pygal")


def check_folder(option: str, folder: Path) -> None:
    """Make a folder that is absent. Raises UsageError unless files can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise pytest.UsageError(
            f"{flag(option)}: {folder}: expected a folder that can be written ({error.strerror}); choose another"
        ) from None


def check_installed(option: str, library: str) -> None:
    """Raise UsageError for an option whose library is absent."""
    if importlib.util.find_spec(library) is None:
        raise pytest.UsageError(f"{flag(option)}: needs {library}, which is not installed; run `pip install {library}`")


def flag(option: str) -> str:
    """Return an option as it is written on the command line."""
    return f"--benchmark-{option.replace('_', '-')}"


# --- runs that are compared, and groups ------------------------------------------------------------------


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Replace the host name by a random id, and leave out the clock of the moment, which differs from run to run."""
    machine_info["node"] = environment.local_id()
    machine_info["cpu"] = {name: value for name, value in machine_info["cpu"].items() if "hz_actual" not in name}


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(
    benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Warn of another machine in one line.

    pytest-benchmark's own warning prints both descriptions whole, and fails for a storage outside the current folder;
    it is left with nothing to say.
    """
    here = json.loads(json.dumps(machine_info))  # a tuple is a list then, as in the file
    if different := differences(compared_benchmark.get("machine_info", {}), here):
        benchmarksession.logger.warning(f"The run that is compared is of another machine: {'; '.join(different)}")
    compared_benchmark["machine_info"] = machine_info


@pytest.hookimpl(wrapper=True)
def pytest_benchmark_group_stats(benchmarks: list[dict[str, Any]]) -> Generator[None, object, object]:
    """Group by a parameter those that lack it as well, such as the floor, which has no backend."""
    for benchmark in benchmarks:
        benchmark["params"] = dict.fromkeys(PARAMETERS, "none") | (benchmark["params"] or {})
    return (yield)

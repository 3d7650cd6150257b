"""A plain `pytest` runs the tests, `pytest --benchmark-only` the benchmarks; naming a file or folder runs that."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the room that is not meant, unless it was named on the command line."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return None
    benchmarks = config.getoption("benchmark_only", default=False)
    return True if collection_path.is_relative_to(ROOT / ("tests" if benchmarks else "bench")) else None

"""What holds for all tests, but not for the benchmarks."""

import gc
from collections.abc import Iterator

import pytest

from bench.agreement import timed


@pytest.fixture(scope="session", autouse=True)
def expected_values_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What timed calls have to return is kept in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timed, "CACHE", tmp_path_factory.mktemp("expected"))
        yield


@pytest.fixture(scope="session", autouse=True)
def garbage_left_for_longer() -> Iterator[None]:
    """Python looks for garbage less often, which takes 5 % of the time among so many objects otherwise."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 10, 10)
    yield
    gc.set_threshold(*before)

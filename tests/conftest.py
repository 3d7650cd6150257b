"""What holds for all tests, but not for the benchmarks."""

from collections.abc import Iterator

import pytest

from bench.agreement import timed


@pytest.fixture(scope="session", autouse=True)
def expected_values_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What timed calls have to return is kept in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timed, "CACHE", tmp_path_factory.mktemp("expected"))
        yield

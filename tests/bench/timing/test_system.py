"""What Linux says of the cores, from made-up files: CPU quotas of both versions of control groups, physical cores."""

from pathlib import Path

import pytest

from bench.timing import system


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /sys/fs/cgroup, with no limit in it."""
    monkeypatch.setattr(system, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(system, "OWN_CGROUPS", tmp_path / "own")
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def own_groups(groups: Path, *lines: str) -> None:
    """Say which groups the process is in, as /proc/self/cgroup does."""
    write(groups.parent / "own", "\n".join(lines))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("100000 100000", 1.0),
        ("150000 100000", 1.5),
        ("20000 100000", 0.2),
        ("max 100000", None),
        ("", None),
        ("0 0", None),
        ("some text", None),
    ],
)
def test_the_quota_of_a_container_in_version_2(limit: str, expected: float | None, groups: Path) -> None:
    own_groups(groups, "0::/")
    write(groups / "cpu.max", limit)
    assert system.quota() == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 2.0), ("-1", None)])
@pytest.mark.parametrize(("controllers", "mounted"), [("cpu", "cpu"), ("cpu,cpuacct", "cpu,cpuacct")])
def test_the_quota_of_a_container_in_version_1(
    quota: str, expected: float | None, controllers: str, mounted: str, groups: Path
) -> None:
    own_groups(groups, "5:cpuset:/", f"4:{controllers}:/docker/of-the-host", "1:name=systemd:/")
    write(groups / mounted / "cpu.cfs_quota_us", quota)
    write(groups / mounted / "cpu.cfs_period_us", "50000")
    write(groups / "cpuset" / "cpu.cfs_quota_us", "1")  # of another controller, which does not count
    assert system.quota() == expected


def test_the_least_quota_of_all_groups_above_counts(groups: Path) -> None:
    own_groups(groups, "0::/slice/service")
    write(groups / "slice" / "cpu.max", "150000 100000")
    write(groups / "slice" / "service" / "cpu.max", "300000 100000")
    write(groups / "slice" / "other" / "cpu.max", "10000 100000")
    assert system.quota() == 1.5
    write(groups / "slice" / "service" / "cpu.max", "50000 100000")
    assert system.quota() == 0.5


def test_a_group_of_version_2_beside_version_1(groups: Path) -> None:
    own_groups(groups, "2:cpu:/", "0::/")
    write(groups / "cpu" / "cpu.cfs_quota_us", "30000")
    write(groups / "cpu" / "cpu.cfs_period_us", "10000")
    assert system.quota() == 3.0


@pytest.mark.parametrize("lines", [[], ["nonsense"], ["0::/no/such/group"], ["0::/../../above"]])
def test_where_nothing_is_said_there_is_no_quota(lines: list[str], groups: Path) -> None:
    own_groups(groups, *lines)
    assert system.quota() is None


@pytest.fixture
def siblings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor of three physical cores: 0 and 4, 1 and 5, 2 and 3; and a core of which nothing is known."""
    monkeypatch.setattr(system, "CPUS", tmp_path)
    for core, listed in {0: "0,4", 4: "0,4", 1: "1,5", 5: "1,5", 2: "2-3", 3: "2-3"}.items():
        write(tmp_path / f"cpu{core}" / "topology" / "thread_siblings_list", listed)


@pytest.mark.usefixtures("siblings")
def test_cores_of_one_physical_core() -> None:
    assert [system.siblings(core) for core in (0, 5, 3, 6)] == [(0, 4), (1, 5), (2, 3), (6,)]


@pytest.mark.usefixtures("siblings")
@pytest.mark.parametrize(
    ("cores", "expected"),
    [({0, 1, 2, 3, 4, 5}, [0, 1, 2, 3, 4, 5]), ({2, 3, 4, 5}, [2, 4, 5, 3]), ({0, 4, 5}, [0, 5, 4]), ({6, 7}, [6, 7])],
)
def test_one_core_of_each_physical_core_comes_first(cores: set[int], expected: list[int]) -> None:
    assert system.one_of_each_first(cores) == expected


def test_a_damaged_list_of_siblings_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "CPUS", tmp_path)
    for listed in ("", "0-", "a,b", "0,,4"):
        write(tmp_path / "cpu0" / "topology" / "thread_siblings_list", listed)
        assert system.siblings(0) == (0,)


def test_a_file_that_is_no_text_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    assert system.text_of(tmp_path / "file") == system.text_of(tmp_path) == system.text_of(tmp_path / "no") == "unknown"

"""The list of bugs in the harness fits the code: `python -m tests.mutation.harness` runs it."""

from collections import Counter

import pytest

from tests.mutation.bug import Bug
from tests.mutation.harness import BUGS, ROOT, faults_of

EVERY_BUG = pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])


@EVERY_BUG
def test_its_code_occurs_once_and_its_tests_exist(bug: Bug) -> None:
    assert faults_of(bug) == []


@EVERY_BUG
def test_with_it_the_file_is_another_program(bug: Bug) -> None:
    source = (ROOT / bug.file).read_text()
    changed = source.replace(bug.code, bug.bug)
    assert changed != source
    compile(changed, bug.file, "exec")


def test_names_are_unique() -> None:
    assert [name for name, n in Counter(bug.name for bug in BUGS).items() if n > 1] == []
    assert all(bug.tests for bug in BUGS)


def test_what_does_not_fit_is_said() -> None:
    bug = BUGS[0]
    assert "found 0 times" in faults_of(bug._replace(code="no such code"))[0]
    assert "expected a test test_gone, found none" in faults_of(bug._replace(tests=("tests/gone.py::test_gone",)))[0]

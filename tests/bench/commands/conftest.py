"""What tests of commands share."""

import pytest

from bench.agreement import isolated
from bench.experiments import trainings
from bench.timing import interleave
from tests.helpers.children import ThreadChild


@pytest.fixture
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let participants of races and trainings be threads, as a process takes half a second to start.

    For tests of what a command does with their answers. Others, with processes, show that both go together.
    """
    for module in (isolated, interleave, trainings):
        monkeypatch.setattr(module, "Child", ThreadChild)

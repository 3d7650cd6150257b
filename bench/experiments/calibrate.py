"""`python -m bench calibrate`: how far can the verdicts of `compare` be trusted on this machine?

A backend races against itself, and against itself with a known share of its updates done once more. Every run of
consecutive generations as long as a comparison is one comparison: how often does it call a slowdown what is none, and
how often does it find one of 3, 5, 10 %? See bench/verdicts.py. In a report all calibrations of a machine, of the same
case and code, count together.
"""

import argparse

from bench.analysis.calibrate import ITSELF
from bench.experiments.race import RaceSetup, race_header
from bench.records.kinds import Race

BACKEND = "minibatch"
ROUNDS = 5  # of a generation: a Latin square of all five


def calibration_header(setting: RaceSetup, arguments: argparse.Namespace, extra: dict[str, float]) -> Race:
    """What is known before."""
    participants = dict.fromkeys(extra, arguments.backend)
    return race_header(setting, 0, "calibrate", participants, baseline=ITSELF, comparison=arguments.generations)

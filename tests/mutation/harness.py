"""Put bugs into the harness and into compiled code, one at a time: do the tests named for them fail? See README.md."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.bug import Bug
from tests.mutation.promises import OF_PROMISES

ROOT = Path(__file__).resolve().parents[2]
# Seconds that the tests of a bug may take, most of them to compile a backend; beyond that it counts as caught, as one
# that hangs is noticed.
LIMIT = 180
FAILED, HANGS = 1, -signal.SIGKILL  # exit codes


STATISTICS, OF_STATISTICS = "bench/analysis/statistics.py", "tests/bench/analysis/test_statistics.py::"
ACCURACY, OF_ACCURACY = "bench/analysis/accuracy.py", "tests/bench/analysis/test_accuracy.py::"
CALIBRATE, OF_CALIBRATE = "bench/analysis/calibrate.py", "tests/bench/commands/test_calibrate.py::"
COMPARE, OF_COMPARE = "bench/analysis/compare.py", "tests/bench/analysis/test_compare.py::"
RACE, OF_RACE = "bench/analysis/race.py", "tests/bench/analysis/test_race.py::"
INTERLEAVE, OF_INTERLEAVE = "bench/timing/interleave.py", "tests/bench/timing/test_interleave.py::"
SESSION, OF_SESSION = "bench/timing/session.py", "tests/bench/timing/test_session.py::"
WORKER, OF_WORKER = "bench/timing/worker.py", "tests/bench/timing/test_worker.py::"
PROCESS, OF_PROCESS = "bench/timing/process.py", "tests/bench/timing/test_process.py::"
THREADS, OF_THREADS = "bench/timing/threads.py", "tests/bench/timing/test_threads.py::"
FLOOR, OF_FLOOR = "bench/timing/floor.py", "tests/bench/timing/test_floor.py::"
ROUNDING, OF_ROUNDING = "bench/agreement/rounding.py", "tests/bench/agreement/test_rounding.py::"
CHECK, OF_CHECK = "bench/agreement/check.py", "tests/bench/agreement/test_check.py::"
TIMED, OF_TIMED = "bench/agreement/timed.py", "tests/bench/agreement/test_timed.py::"
PROBLEMS, OF_PROBLEMS = "bench/agreement/problems.py", "tests/bench/agreement/test_problems.py::"
ISOLATED, OF_ISOLATED = "bench/agreement/isolated.py", "tests/bench/agreement/test_isolated.py::"
JOURNAL, OF_JOURNAL = "bench/records/journal.py", "tests/bench/records/test_journal.py::"
RACES, OF_RACES = "bench/records/races.py", "tests/bench/records/test_races.py::"
FINGERPRINT, OF_FINGERPRINT = "bench/records/fingerprint.py", "tests/bench/records/test_fingerprint.py::"
LOOP, OF_LOOP = "bench/training/loop.py", "tests/bench/training/test_loop.py::"
OF_METRICS = "tests/bench/training/test_metrics.py::"
RECIPES = "bench/workloads/recipes.py"
PLANS, OF_PLANS = "bench/workloads/plans.py", "tests/bench/workloads/test_plans.py::"
TEMPORARY, OF_TEMPORARY = "temporary.py", "tests/test_temporary.py::"
COMMAND_LINE, OF_COMMAND_LINE = "command_line.py", "tests/test_command_line.py::"
TRAININGS = "bench/experiments/trainings.py"
COMMANDS, OF_COMMANDS = "bench/commands/", "tests/bench/commands/"
KERNELS, OF_NUMBA = "impls/numba_sparse/kernels.py", "tests/impls/test_numba_backends.py::"

BUGS = (
    # --- statistics ----------------------------------------------------------------------------------------------
    Bug(
        "a ratio is swapped",
        STATISTICS,
        "np.log(times[:, 0] / times[:, 1])",
        "np.log(times[:, 1] / times[:, 0])",
        (OF_STATISTICS + "test_a_ratio_by_hand",),
    ),
    Bug(
        "an interval is taken over rounds instead of generations",
        STATISTICS,
        "    medians = medians_of(rounds)\n",
        "    medians = np.concatenate(rounds)\n",
        (OF_STATISTICS + "test_a_generation_counts_once_however_many_rounds_it_has",),
    ),
    Bug(
        "a generation is its mean, which a burst moves",
        STATISTICS,
        "np.array([np.median(values) for values in generations])",
        "np.array([np.mean(values) for values in generations])",
        (OF_STATISTICS + "test_one_outlier_moves_an_estimate_by_no_more_than_its_share",),
    ),
    Bug(
        "Bonferroni is forgotten",
        STATISTICS,
        "/ (max(comparisons, 1) + may_stop_early)",
        "/ (1 + may_stop_early)",
        (OF_STATISTICS + "test_several_comparisons_share_the_error",),
    ),
    Bug(
        "looking early is not paid for",
        STATISTICS,
        "/ (max(comparisons, 1) + may_stop_early)",
        "/ max(comparisons, 1)",
        (OF_STATISTICS + "test_several_comparisons_share_the_error",),
    ),
    Bug(
        "a race stops by intervals that do not pay for looking",
        STATISTICS,
        "rows = ratios(race, baseline, may_stop_early=True)",
        "rows = ratios(race, baseline)",
        (OF_STATISTICS + "test_a_race_is_precise_when_the_widest_ratio_is",),
    ),
    Bug(
        "a race stops after too few generations",
        STATISTICS,
        "row.generations >= LEAST_TO_STOP for",
        "row.generations > 1 for",
        (OF_STATISTICS + "test_a_race_is_not_precise_before_the_least_generations",),
    ),
    Bug(
        "a race stops when the narrowest interval is precise",
        STATISTICS,
        "return bool(rows) and all(",
        "return bool(rows) and any(",
        (OF_STATISTICS + "test_a_race_is_precise_when_the_widest_ratio_is",),
    ),
    Bug(
        "the variance of a sample is that of a population",
        STATISTICS,
        "medians.std(axis=0, ddof=1)",
        "medians.std(axis=0)",
        (OF_STATISTICS + "test_an_interval_by_hand",),
    ),
    Bug(
        "an interval of two sides has all of the error on each",
        STATISTICS,
        "half = quantile(error / 2, n - 1) *",
        "half = quantile(error, n - 1) *",
        (OF_STATISTICS + "test_an_interval_by_hand",),
    ),
    Bug(
        "an interval of few generations is that of the normal distribution",
        STATISTICS,
        "half = quantile(error / 2, n - 1) *",
        "half = -ndtri(error / 2) *",
        (OF_STATISTICS + "test_an_interval_by_hand",),
    ),
    Bug(
        "what starting first does stays in a ratio",
        STATISTICS,
        "centre, half = without_place(medians, np.array(kept_places), error)",
        "centre, half = student(medians, error)",
        (OF_STATISTICS + "test_the_effect_of_starting_first_by_hand",),
    ),
    Bug(
        "what starting first does is added instead of removed",
        STATISTICS,
        "return medians.mean() - effect * places.mean(),",
        "return medians.mean() + effect * places.mean(),",
        (OF_STATISTICS + "test_the_interval_without_that_effect_by_hand",),
    ),
    Bug(
        "an interval that ends at 1 separates",
        STATISTICS,
        "not self.interval.low <= 1 <= self.interval.high",
        "not self.interval.low < 1 < self.interval.high",
        (OF_STATISTICS + "test_separated_is_an_interval_without_1",),
    ),
    Bug(
        "a slowdown has no margin",
        STATISTICS,
        "ratio.estimate > 1 + margin",
        "ratio.estimate > 1",
        (OF_STATISTICS + "test_a_slowdown_is_certain_and_beyond_the_margin",),
    ),
    Bug(
        "a slowdown may be chance",
        STATISTICS,
        "return ratio.interval is not None and ratio.interval.low > 1 and ratio.estimate",
        "return ratio.interval is not None and ratio.estimate",
        (OF_STATISTICS + "test_a_slowdown_is_certain_and_beyond_the_margin",),
    ),
    Bug(
        "the slower of two has the better rank",
        STATISTICS,
        "faster[backend if pair.estimate > 1 else other] += 1",
        "faster[backend if pair.estimate < 1 else other] += 1",
        (OF_STATISTICS + "test_ranks_have_ties_that_are_not_transitive",),
    ),
    Bug(
        "ranks compare all pairs and pay for those with one",
        STATISTICS,
        "error_of_each(math.comb(len(names), 2), may_stop_early)",
        "error_of_each(len(names) - 1, may_stop_early)",
        (OF_STATISTICS + "test_ranks_pay_for_every_pair",),
    ),
    Bug(
        "two races are compared the wrong way round",
        STATISTICS,
        "for race in (after, before)]",
        "for race in (before, after)]",
        (OF_STATISTICS + "test_a_change_is_a_ratio_of_ratios",),
    ),
    Bug(
        "two races are compared without the noise of what both are compared with",
        STATISTICS,
        "of_means = np.array([sample.var(ddof=1) / len(sample) for sample in samples])",
        "of_means = np.array([sample.var(ddof=1) / len(sample) for sample in samples[:1]])",
        (OF_STATISTICS + "test_a_change_is_a_ratio_of_ratios",),
    ),
    Bug(
        "the interval of a share has all of the error on each side",
        STATISTICS,
        "    error = (1 - CONFIDENCE) / 2\n",
        "    error = 1 - CONFIDENCE\n",
        (OF_STATISTICS + "test_a_share_has_the_interval_of_clopper_and_pearson",),
    ),
    Bug(
        "an infinite time passes",
        STATISTICS,
        "~(np.isfinite(array) & (array > 0))",
        "~(array > 0)",
        (OF_STATISTICS + "test_invalid_times_are_refused",),
    ),
    Bug(
        "an exponent is that of sizes in seconds",
        STATISTICS,
        "dx @ dy / (dx @ dx)",
        "dx @ dy / (dy @ dy)",
        (OF_STATISTICS + "test_an_exponent_by_hand",),
    ),
    # --- a target, calibrations, comparisons, resources -----------------------------------------------------------
    Bug(
        "a lower bound is two-sided",
        ACCURACY,
        "2 * (1 - CONFIDENCE))",
        "1 - CONFIDENCE)",
        (OF_ACCURACY + "test_the_bound_is_students_by_hand",),
    ),
    Bug(
        "a target counts by the mean of the seeds",
        ACCURACY,
        "self.lower >= self.target",
        "self.mean >= self.target",
        (OF_ACCURACY + "test_seeds_enough_and_a_bound_above_the_target",),
    ),
    Bug(
        "a target counts with too few seeds",
        ACCURACY,
        "return self.seeds >= LEAST_SEEDS and self.lower",
        "return self.lower",
        (OF_ACCURACY + "test_seeds_enough_and_a_bound_above_the_target",),
    ),
    Bug(
        "seeds that diverged are left out of the mean",
        ACCURACY,
        "    n = len(accuracies)\n",
        "    accuracies = [a for a, cost in zip(accuracies, costs, strict=True) if math.isfinite(cost)]\n"
        "    n = len(accuracies)\n",
        (OF_ACCURACY + "test_diverged_seeds_are_counted_and_kept",),
    ),
    Bug(
        "comparisons that overlap count as independent",
        CALIBRATE,
        "independent = sum(len(race.rounds()) // generations for race in races)",
        "independent = len(called)",
        (OF_CALIBRATE + "test_shares_are_of_all_runs_of_generations_and_intervals_of_those_that_do_not_overlap",),
    ),
    Bug(
        "a calibration forgets which started first",
        CALIBRATE,
        "against, baseline, started=started[window])",
        "against, baseline)",
        (OF_CALIBRATE + "test_what_starting_first_does_is_no_slowdown_and_hides_none",),
    ),
    Bug(
        "a false alarm counts for one of two equals only",
        CALIBRATE,
        "if extra == 0:",
        "if extra < 0:",
        (OF_CALIBRATE + "test_a_false_alarm_counts_whichever_of_the_two_is_called_slower",),
    ),
    Bug(
        "the verdicts faster and slower are swapped",
        COMPARE,
        '        return "slower"\n    return "faster" if',
        '        return "faster"\n    return "slower" if',
        (OF_COMPARE + "test_verdicts",),
    ),
    Bug(
        "a comparison is of the baseline with itself",
        COMPARE,
        "if name != race.baseline)",
        "if name == race.baseline)",
        (OF_COMPARE + "test_a_change_is_after_over_before_and_all_of_them_share_the_error",),
    ),
    Bug(
        "several backends compared do not share the error",
        COMPARE,
        "error_of_each(len(races))",
        "error_of_each(1)",
        (OF_COMPARE + "test_a_change_is_after_over_before_and_all_of_them_share_the_error",),
    ),
    Bug(
        "files of races that may have stopped early are compared as if they had not",
        COMPARE,
        "error_of_each(len(compared), may_stop_early=True)",
        "error_of_each(len(compared))",
        (OF_COMPARE + "test_files_are_compared_as_races_that_may_have_stopped_early",),
    ),
    Bug(
        "files of two machines are compared",
        COMPARE,
        'ONE_MACHINE = ("id", "cpu", ',
        'ONE_MACHINE = ("cpu", ',
        (OF_COMPARE + "test_what_cannot_be_compared_is_named",),
    ),
    Bug(
        "files of different measuring code are compared",
        COMPARE,
        'race.key.get("measuring"),',
        'race.key.get("measured"),',
        (OF_COMPARE + "test_what_cannot_be_compared_is_named",),
    ),
    Bug(
        "the table of a race does not pay for looking",
        RACE,
        "race.baseline, may_stop_early=True)",
        "race.baseline)",
        (OF_COMPARE + "test_ratios_of_a_race_are_wider_as_it_may_have_stopped_early",),
    ),
    Bug(
        "system time is no CPU time",
        RACE,
        "(sample.user + sample.system) / sample.wall",
        "sample.user / sample.wall",
        (OF_RACE + "test_cpu_and_memory",),
    ),
    Bug(
        "break-even is a round early",
        RACE,
        "return 1 + max(0, math.ceil(",
        "return max(1, math.ceil(",
        (OF_RACE + "test_break_even_is_the_epoch_after_which_the_total_is_less",),
    ),
    # --- turns ---------------------------------------------------------------------------------------------------
    Bug(
        "an order is not balanced",
        INTERLEAVE,
        "square = (np.arange(n)[:, None] + rng.permutation(n)) % n",
        "square = np.array([rng.permutation(n) for _ in range(n)])",
        (OF_INTERLEAVE + "test_in_n_rounds_each_backend_is_once_at_each_position",),
    ),
    Bug(
        "each participant always follows the same one",
        INTERLEAVE,
        "(np.arange(n)[:, None] + rng.permutation(n)) % n",
        "(np.arange(n)[:, None] + np.arange(n)) % n",
        (OF_INTERLEAVE + "test_no_participant_always_follows_the_same_one",),
    ),
    Bug(
        "every round has the same order",
        INTERLEAVE,
        "yield from rng.permutation(relabelled)[: rounds - first]",
        "yield from np.tile(relabelled[0], (n, 1))[: rounds - first]",
        (OF_INTERLEAVE + "test_in_n_rounds_each_backend_is_once_at_each_position",),
    ),
    Bug(
        "the starting place is not rotated",
        INTERLEAVE,
        "np.random.default_rng([race.seed, 1, square])))[row]",
        "np.random.default_rng([race.seed, 1, square])))[0]",
        (OF_INTERLEAVE + "test_in_n_generations_each_backend_starts_once_at_each_position",),
    ),
    Bug(
        "measurements are in the order of the starts",
        INTERLEAVE,
        "attempt(race, generation, sample, participants[index], generation",
        "attempt(race, generation, sample, participants[position], generation",
        (OF_SESSION + "test_every_participant_is_measured_at_every_position_equally_often",),
    ),
    Bug(
        "a sample is recorded under the wrong participant",
        INTERLEAVE,
        "position=position, participant=participant.name, **seconds)",
        "position=position, participant=list(race.tasks)[position], **seconds)",
        (OF_SESSION + "test_a_sample_is_of_the_participant_that_was_measured",),
    ),
    Bug(
        "a call to warm up is a sample",
        INTERLEAVE,
        "            attempt(race, generation, warm_up, participant, generation)\n",
        "            attempt(race, generation, warm_up, participant, generation)\n"
        "            attempt(race, generation, sample, participant, generation, -1, 0)\n",
        (OF_SESSION + "test_calls_to_warm_up_are_no_samples",),
    ),
    Bug(
        "the first call, which may compile, decides how often calls are repeated",
        INTERLEAVE,
        'SHORTEST / described["warm"]["wall"]',
        'SHORTEST / first["wall"]',
        (OF_SESSION + "test_calls_to_warm_up_are_no_samples",),
    ),
    Bug(
        "waiting processes are not stopped",
        PROCESS,
        '        self.signal("SIGSTOP")\n',
        "",
        (OF_PROCESS + "test_a_child_is_stopped_from_its_answer_to_the_next_request",),
    ),
    Bug(
        "a failed participant is asked again",
        SESSION,
        "    if participant.name in race.failures:\n        return\n",
        "",
        (OF_SESSION + "test_one_that_fails_is_ended_and_asked_nothing_more",),
    ),
    Bug(
        "a failed participant stays alive",
        SESSION,
        "        participant.child.kill()  #",
        "        #",
        (OF_SESSION + "test_one_that_fails_is_ended_and_asked_nothing_more",),
    ),
    Bug(
        "the time limit of a race is ignored",
        SESSION,
        "participant.child.answer(race.time_limit)",
        "participant.child.answer(TIME_LIMIT)",
        (OF_SESSION + "test_every_request_has_the_time_limit_of_the_session",),
    ),
    Bug(
        "an answer is awaited forever",
        PROCESS,
        "if not self.connection.poll(seconds):",
        "if not self.connection.poll(None):",
        (OF_PROCESS + "test_a_child_that_dies_is_distinguished_from_one_that_hangs",),
    ),
    Bug(
        "threads are not requested before the import",
        PROCESS,
        "        threads.request(n_threads)\n",
        "",
        (OF_PROCESS + "test_threads_reach_the_libraries_and_leave_this_process_alone[1]",),
    ),
    Bug(
        "a process of one thread may use all cores",
        PROCESS,
        "        threads.keep_to(n_threads)\n",
        "        pass\n",
        (OF_PROCESS + "test_it_has_as_many_cores_as_threads_for_libraries_that_read_no_variable[1]",),
    ),
    Bug(
        "threads may be requested when it is too late",
        THREADS,
        'if "numpy" in sys.modules:',
        "if not VARIABLES:",
        (OF_THREADS + "test_a_request_after_numpy_is_imported_fails",),
    ),
    Bug(
        "calls that are repeated count as one",
        WORKER,
        "{kind: value / repeats for",
        "{kind: value for",
        (OF_WORKER + "test_a_time_is_of_one_call_however_often_it_is_repeated",),
    ),
    Bug(
        "a sampled backend works on all images, and is scaled up all the same",
        WORKER,
        'mmap_mode="r")[: task.images]\n        labels = np.load(task.digits / "labels.npy")[: task.images]',
        'mmap_mode="r")\n        labels = np.load(task.digits / "labels.npy")',
        (OF_WORKER + "test_a_backend_works_on_the_images_of_its_task_alone",),
    ),
    Bug(
        "a slowdown of known size is a whole batch too large",
        WORKER,
        "np.minimum(plan.stops[:n], images)",
        "plan.stops[:n]",
        (OF_CALIBRATE + "test_a_slowdown_is_so_many_more_images",),
    ),
    Bug(
        "the first time counts for what the machine reaches",
        FLOOR,
        "median(times[1:])",
        "median(times)",
        (OF_FLOOR + "test_seconds_are_the_median_without_the_first",),
    ),
    # --- agreement -----------------------------------------------------------------------------------------------
    Bug(
        "what a timed call returned is not looked at",
        WORKER,
        "            held(self.task.expected.check(self.task.backend, returned, has_costs=not lacks_costs))\n",
        "            self.task.expected.check(self.task.backend, returned, has_costs=not lacks_costs)\n",
        (OF_COMMANDS + "test_race.py::test_a_backend_that_is_wrong_only_in_what_is_timed_loses_its_times",),
    ),
    Bug(
        "a long training is followed only as far as its updates are moved",
        TIMED,
        "    if tail:\n",
        "    if False:\n",
        (OF_TIMED + "test_right_backends_return_it",),
    ),
    Bug(
        "an update is taken to round once, however it is added",
        ROUNDING,
        "size + np.sqrt(mean.n_terms * np.minimum(size**2, (rate / eps) ** 2 * mean.squares))",
        "size",
        (OF_ROUNDING + "test_every_order_of_adding_is_right",),
    ),
    Bug(
        "equal images round as different ones do",
        ROUNDING,
        "return np.array([counts[key] for key in keys])",
        "return np.ones(len(keys))",
        (OF_ROUNDING + "test_every_order_of_adding_is_right",),
    ),
    Bug(
        "problems have the first images of a file",
        PROBLEMS,
        "np.random.default_rng(3).permutation(n)[:CANDIDATES]",
        "np.arange(n)[:CANDIDATES]",
        (OF_PROBLEMS + "test_all_digits_are_among_the_images_also_where_a_file_is_sorted",),
    ),
    Bug(
        "a tolerance is ten times too wide",
        ROUNDING,
        "SAFETY = 4.0",
        "SAFETY = 40.0",
        (OF_ROUNDING + "test_four_times_what_rounding_explains_is_allowed",),
    ),
    Bug(
        "rounding grows with the number of terms instead of its root",
        ROUNDING,
        "return Rounded(value, np.sqrt(x.spread @ weights**2 + x.terms * value**2))",
        "return Rounded(value, np.sqrt(x.terms * (x.spread @ weights**2) + x.terms**2 * value**2))",
        (OF_ROUNDING + "test_tolerances_are_those_of_a_product_by_hand",),
    ),
    Bug(
        "the roundings of a sum are forgotten",
        ROUNDING,
        "return self.error**2 + self.terms * self.square",
        "return self.error**2",
        (OF_ROUNDING + "test_tolerances_are_those_of_a_product_by_hand",),
    ),
    Bug(
        "a ReLU at its kink is held to one derivative",
        ROUNDING,
        "            slope = Rounded(slope.value, at_kink / eps)\n",
        "",
        (OF_ROUNDING + "test_kinks_are_seen",),
    ),
    Bug(
        "a tolerance for float32 comes from the epsilon of float64",
        CHECK,
        "eps = float(np.finfo(dtype_of(parameters)).eps)",
        "eps = float(np.finfo(np.float64).eps)",
        (OF_CHECK + "test_everything_that_the_reference_computes_is_compared_once",),
    ),
    Bug(
        "a tolerance for float64 comes from the epsilon of float32",
        CHECK,
        "eps = float(np.finfo(dtype_of(parameters)).eps)",
        "eps = float(np.finfo(np.float32).eps)",
        (OF_CHECK + "test_the_reference_starts_from_the_same_parameters",),
    ),
    Bug(
        "NaN passes",
        CHECK,
        "if error <= allowed:",
        "if not error > allowed:",
        (OF_CHECK + "test_what_is_not_finite_fails_where_it_is",),
    ),
    Bug(
        "an error below the reference is none",
        CHECK,
        "difference = np.abs(np.asarray(actual, np.float64) - expected.value)",
        "difference = np.asarray(actual, np.float64) - expected.value",
        (OF_CHECK + "test_what_is_not_finite_fails_where_it_is",),
    ),
    Bug(
        "an error is held to the mean of a tensor",
        CHECK,
        "return float(np.abs(value).max()) or 1.0",
        "return float(np.abs(value).mean()) or 1.0",
        (OF_CHECK + "test_errors_are_norm_wise_in_eps",),
    ),
    Bug(
        "a shape that broadcasts passes",
        CHECK,
        "not isinstance(actual, np.ndarray) or actual.shape != expected.value.shape or actual.dtype != dtype",
        "not isinstance(actual, np.ndarray) or actual.dtype != dtype",
        (OF_CHECK + "test_another_form_is_named",),
    ),
    Bug(
        "inputs are modified unnoticed",
        CHECK,
        "given = copy.deepcopy(problem)",
        "given = problem",
        (OF_CHECK + "test_inputs_that_are_modified_are_named_and_spared",),
    ),
    Bug(
        "a training that rounding decides is checked",
        CHECK,
        "MOST_DRIFT = 0.01",
        "MOST_DRIFT = np.inf",
        (OF_PROBLEMS + "test_a_training_that_rounding_decides_is_refused",),
    ),
    Bug(
        "images near a kink are not left out",
        PROBLEMS,
        "clear = np.flatnonzero(~near)[:size]",
        "clear = np.arange(len(window))[:size]",
        (OF_PROBLEMS + "test_images_keep_away_from_kinks",),
    ),
    Bug(
        "a backend that forgets its biases agrees",
        PROBLEMS,
        "parameters = with_random_biases(case.parameters())",
        "parameters = case.parameters()",
        (OF_PROBLEMS + "test_biases_are_not_zero_and_weights_are_the_cases",),
    ),
    Bug(
        "a backend that ends its process has no failure",
        ISOLATED,
        "return [failed(name, cases, failure.what, str(failure))]",
        "return []",
        (OF_ISOLATED + "test_what_goes_wrong_is_named[dies]",),
    ),
    # --- records -------------------------------------------------------------------------------------------------
    Bug(
        "the scaling of sampled images is forgotten",
        RACES,
        'return float(self.key["images"]) / self.participants[name].images',
        "return 1.0",
        (OF_RACES + "test_what_ran_and_how",),
    ),
    Bug(
        "a failed participant stays in the ratios",
        RACES,
        "            if participant.failure is None:\n",
        "            if participant.samples:\n",
        (OF_RACES + "test_a_failed_participant_has_no_times",),
    ),
    Bug(
        "an unfinished generation counts in a file that is read",
        RACES,
        "complete = whole_generations(list(records))",
        "complete = list(records)",
        (OF_RACES + "test_a_generation_without_its_end_does_not_count",),
    ),
    Bug(
        "an unfinished generation counts in a race that is continued",
        JOURNAL,
        "self.records = whole_generations(there)",
        "self.records = there",
        (OF_JOURNAL + "test_it_continues_after_the_whole_generations",),
    ),
    Bug(
        "a file of another race is continued",
        JOURNAL,
        "    if different:\n",
        "    if not different:\n",
        (OF_JOURNAL + "test_another_race_is_not_continued",),
    ),
    Bug(
        "a record is lost when the process dies",
        JOURNAL,
        "            self._file.flush()\n",
        "",
        (OF_JOURNAL + "test_a_record_is_on_disk_as_soon_as_it_is_there",),
    ),
    Bug(
        "a race is continued after a line that was cut",
        JOURNAL,
        '                os.truncate(path, content.rfind(b"\\n") + 1)',
        "                pass",
        (OF_JOURNAL + "test_a_line_that_was_cut_is_no_record",),
    ),
    Bug(
        "a hash ignores what is measured",
        FINGERPRINT,
        'MEASURING = ("timing", "workloads")',
        'MEASURING = ("timing",)',
        (OF_FINGERPRINT + "test_a_file_that_runs_while_the_clock_does_is_part_of_every_key",),
    ),
    Bug(
        "a hash ignores where a file lies",
        FINGERPRINT,
        'digest.update(name.encode() + b"\\0" + path',
        "digest.update(path",
        (OF_FINGERPRINT + "test_a_file_of_another_name_changes_the_hash",),
    ),
    Bug(
        "a hash ignores the contract",
        FINGERPRINT,
        'ours = [IMPLS / "contract.py"]',
        "ours: list[Path] = []",
        (OF_FINGERPRINT + "test_the_contract_is_part_of_every_source",),
    ),
    Bug(
        "a key ignores the data",
        FINGERPRINT,
        '        "data_sha256": data_sha256,\n',
        "",
        (OF_FINGERPRINT + "test_whatever_a_time_depends_on_changes_its_key",),
    ),
    # --- training ------------------------------------------------------------------------------------------------
    Bug(
        "a row with NaN is right",
        LOOP,
        " & np.isfinite(outputs).all(axis=1)",
        "",
        (OF_METRICS + "test_a_row_that_is_not_finite_is_wrong",),
    ),
    Bug(
        "the cost of a probability that underflowed is infinite",
        LOOP,
        "np.log(np.maximum(right, np.finfo(outputs.dtype).tiny))",
        "np.log(right)",
        (OF_METRICS + "test_a_probability_that_underflowed_has_a_finite_cost",),
    ),
    Bug(
        "a cost hides NaN",
        LOOP,
        "float(squares.mean() / 2)",
        "float(np.nanmean(squares) / 2)",
        (OF_METRICS + "test_nan_is_not_hidden",),
    ),
    Bug(
        "a cost is summed in the precision of the outputs",
        LOOP,
        "np.square(outputs, dtype=np.float64)",
        "np.square(outputs)",
        (OF_METRICS + "test_sums_in_double_precision",),
    ),
    Bug(
        "velocities begin at rest in every epoch",
        LOOP,
        "backend.train(network, state, split.prepared, plan)",
        "backend.train(network, zero_velocities(state.parameters), split.prepared, plan)",
        (OF_LOOP + "test_each_epoch_continues_from_the_state_of_the_one_before",),
    ),
    Bug(
        "the seconds of a training are those of its last epoch",
        LOOP,
        "        elapsed += clock.elapsed\n        yield Epoch(number, elapsed, state)",
        "        elapsed = clock.elapsed\n        yield Epoch(number, elapsed, state)",
        (OF_LOOP + "test_seconds_add_up_and_are_of_training_alone",),
    ),
    Bug(
        "a short last batch is dropped",
        PLANS,
        "    starts = np.arange(0, n, batch)\n",
        "    starts = np.arange(0, n - batch + 1, batch)\n",
        (OF_PLANS + "test_an_epoch_uses_every_image_once",),
    ),
    Bug(
        "the shuffled order is the same in every epoch",
        RECIPES,
        'draw = partial(rng.permutation, images) if self.order == "shuffled"',
        'draw = (lambda: np.random.default_rng([seed, 1]).permutation(images)) if self.order == "shuffled"',
        (OF_PLANS + "test_each_shuffled_round_has_its_own_order",),
    ),
    Bug(
        "a learning rate that falls begins anew in every epoch",
        RECIPES,
        "rates[done : done + len(starts)]",
        "rates[: len(starts)]",
        (OF_PLANS + "test_the_fall_runs_over_all_rounds",),
    ),
    Bug(
        "a learning rate that falls is one update ahead",
        PLANS,
        "remaining = 1 - np.arange(n_updates) / n_updates",
        "remaining = 1 - np.arange(1, n_updates + 1) / n_updates",
        (OF_PLANS + "test_linear_fall",),
    ),
    Bug(
        "a learning rate that is held falls at once",
        PLANS,
        "np.minimum(1, 2 * remaining)",
        "np.minimum(1, remaining)",
        (OF_PLANS + "test_a_trapezoid_stays_and_then_falls_to_nearly_nothing",),
    ),
    # --- exit codes ----------------------------------------------------------------------------------------------
    Bug(
        "a disagreement leaves exit code 0",
        COMMANDS + "agree.py",
        "if any(one.failures for one in checked if one.loaded):\n        return 1",
        "if any(one.failures for one in checked if one.loaded):\n        return 0",
        (OF_COMMANDS + "test_agree.py::test_a_disagreement_is_named_and_the_others_are_checked",),
    ),
    Bug(
        "a backend that was left out of a race leaves exit code 0",
        COMMANDS + "measuring.py",
        "return 1 if any(one.left_out for one in raced) else 0",
        "return 0",
        (OF_COMMANDS + "test_race.py::test_a_backend_that_disagrees_is_not_timed_and_the_exit_code_says_so",),
    ),
    Bug(
        "a slowdown leaves exit code 0",
        COMMANDS + "compare.py",
        "        return int(slower)\n    if own",
        "        return 0\n    if own",
        (OF_COMMANDS + "test_compare.py::test_two_files_are_compared_in_units_of_the_floor[1.1-0.05-1-slower]",),
    ),
    Bug(
        "a generation has all its rounds however short its time",
        INTERLEAVE,
        "rounds = max(fewest, int(left / of_round))",
        "rounds = race.rounds",
        (OF_INTERLEAVE + "test_a_short_time_has_fewer_rounds",),
    ),
    Bug(
        "other processes count where they use cores that no thread needs",
        RACE,
        "if others <= cores - n_threads + SHARED:",
        "if others <= SHARED:",
        (OF_RACE + "test_other_processes_count_where_threads_need_their_cores",),
    ),
    Bug(
        "a generation begins for which the budget has no room",
        "bench/experiments/generations.py",
        "if measured + sum(race.shortest or longest for race in coming) <= self.seconds:",
        "if measured <= self.seconds:",
        (OF_COMMANDS + "test_race.py::test_it_stops_when_all_is_known_or_the_budget_is_spent",),
    ),
    # --- runs that are killed, full disks ----------------------------------------------------------------------------
    Bug(
        "what a killed run left is never removed",
        TEMPORARY,
        "    clear(parent)\n    path, held",
        "    path, held",
        (OF_TEMPORARY + "test_what_a_killed_run_left_is_removed_by_the_next",),
    ),
    Bug(
        "a temporary folder that another run uses is removed",
        TEMPORARY,
        "    flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)\n",
        "",
        (OF_TEMPORARY + "test_what_is_used_is_left_and_what_is_not_is_removed",),
    ),
    Bug(
        "a temporary folder is used that another run is about to remove",
        TEMPORARY,
        "        except (BlockingIOError, FileNotFoundError):\n            continue\n",
        "",
        (OF_TEMPORARY + "test_one_that_another_run_clears_at_this_moment_is_not_used",),
    ),
    Bug(
        "a closed terminal or SIGTERM ends a command at once",
        COMMAND_LINE,
        "        signal.signal(number, interrupt)\n",
        "        pass\n",
        (OF_COMMAND_LINE + "test_a_signal_ends_it_in_order_with_one_line",),
    ),
    Bug(
        "what is printed to a closed terminal fails",
        COMMAND_LINE,
        "        spare_closed_terminal()\n",
        "",
        (OF_COMMAND_LINE + "test_a_closed_terminal_ends_it_in_order",),
    ),
    Bug(
        "the second signal breaks off what the first began to tidy up",
        COMMAND_LINE,
        "            signal.signal(each, signal.SIG_IGN)\n",
        "            pass\n",
        (OF_COMMAND_LINE + "test_nohup_is_obeyed_and_handlers_are_as_before",),
    ),
    Bug(
        "Ctrl-C reaches the first child before that ignores it",
        PROCESS,
        "    resource_tracker.ensure_running()  #",
        "    #",
        (OF_PROCESS + "test_interruptions_are_held_back_also_from_the_first_child",),
    ),
    Bug(
        "a child that cannot begin prints a traceback",
        PROCESS,
        '            connection.send(ChildFailed("dies", f"ended its process by {in_one_line(error)}"))\n',
        "            raise\n",
        (OF_PROCESS + "test_a_child_that_cannot_begin_says_why",),
    ),
    Bug(
        "what a child prints gets into tables",
        PROCESS,
        "        os.dup2(2, 1)\n",
        "        pass\n",
        (OF_PROCESS + "test_what_a_child_prints_is_kept_from_the_tables",),
    ),
    Bug(
        "a step of the pipeline outlives it",
        PROCESS,
        'ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(getattr(signal, "SIGKILL", 0))})\n',
        "",
        (OF_PROCESS + "test_a_command_that_is_bound_dies_with_its_parent",),
    ),
    Bug(
        "what died is never tried anew",
        JOURNAL,
        "                self.try_anew()\n",
        "",
        (OF_COMMANDS + "test_race.py::test_what_died_is_tried_anew_and_measured_as_often_as_the_others",),
    ),
    Bug(
        "readers count a failure that a later run did not repeat",
        RACES,
        "(isinstance(record, Failure) and not record.final)",
        "False",
        (OF_RACES + "test_a_continued_run_forgets_agreement_and_end_and_of_failures_all_but_final_ones",),
    ),
    Bug(
        "a wrong result is tried anew",
        SESSION,
        'failure.what == "wrong"',
        'failure.what == ""',
        (OF_SESSION + "test_only_a_wrong_result_is_final[wrong-True]",),
    ),
    Bug(
        "generations without a participant that is tried anew count",
        "bench/experiments/generations.py",
        "        if all(samples[one.generation, name] == rounds.get(one.generation, 0) for name in race.remaining())\n",
        "",
        (OF_COMMANDS + "test_race.py::test_what_died_is_tried_anew_and_measured_as_often_as_the_others",),
    ),
    Bug(
        "seeds count that a backend which is tried anew lacks",
        TRAININGS,
        " if not any(lacks(generation, name) for name in needed)}",
        "}",
        (OF_COMMANDS + "test_accuracy.py::test_what_died_trains_anew_with_the_seeds_that_it_lacks",),
    ),
    Bug(
        "curves that an interrupted run did not come to are never drawn",
        TRAININGS,
        "    if any(seeds[name] for name in seeds if name not in race.failures):\n",
        "    if 0 not in finished:\n",
        (OF_COMMANDS + "test_accuracy.py::test_it_continues_after_the_finished_seeds",),
    ),
    Bug(
        "agree keeps nothing until its end",
        "bench/experiments/agree.py",
        "        keep([checked[name] for name in names if name in checked])\n",
        "",
        (OF_COMMANDS + "test_agree.py::test_what_was_checked_before_an_interruption_is_in_the_file",),
    ),
    Bug(
        "a full disk leaves a half written file",
        "whole_files.py",
        'if kind_of(path) == "another thing":',
        "if kind_of(path):",
        (OF_COMMANDS + "test_agree.py::test_a_full_disk_is_one_line_with_the_file_which_stays_as_it_was",),
    ),
    Bug(
        "a full disk during tuning is an error without the file",
        "bench/experiments/tune.py",
        'with writing(self.results, "all finished trainings"), self.results',
        "with self.results",
        (OF_COMMANDS + "test_accuracy.py::test_a_full_disk_ends_tuning_in_one_line_with_the_file",),
    ),
    Bug(
        "a search compares times of workers",
        "bench/experiments/tune.py",
        "one.seconds if (one.machine, one.threads) == (self.machine, self.threads) else None",
        "one.seconds",
        (OF_COMMANDS + "test_workers.py::test_a_search_on_workers_finds_what_one_here_does_and_leaves_times_to_that",),
    ),
    Bug(
        "the name of the machine stays empty after a full disk",
        "bench/records/environment.py",
        "            if not file.read().strip():\n",
        "            if False:\n",
        ("tests/bench/records/test_environment.py::test_where_the_disk_is_full_the_name_of_the_machine_is_made_later",),
    ),
    Bug(
        "a full disk keeps compiled code from being used",
        "impls/numba_cache.py",
        "    except OSError as error:\n        reason",
        "    except KeyError as error:\n        reason",
        ("tests/impls/test_numba_cache.py::test_code_that_cannot_be_kept_is_named_and_no_error",),
    ),
    # --- files of others -----------------------------------------------------------------------------------------
    Bug(
        "what is no plain file is opened",
        "untrusted.py",
        "if not stat.S_ISREG(status.st_mode):",
        "if False:",
        ("tests/test_untrusted.py::test_a_named_pipe_is_not_waited_for",),
    ),
    Bug(
        "a file that grows is read to its end",
        "untrusted.py",
        "    if len(content) > most:\n",
        "    if False:\n",
        ("tests/test_untrusted.py::test_a_file_that_grows_while_it_is_read",),
    ),
    Bug(
        "a quotation has no end",
        "untrusted.py",
        "line if len(line) <= most else",
        "line if line else",
        ("tests/test_untrusted.py::test_brief",),
    ),
    Bug(
        "a message about the command line has no end",
        "command_line.py",
        "{brief(message, MOST_WORDS)}",
        "{message}",
        ("tests/test_command_line.py::test_an_endless_word_is_shortened",),
    ),
    Bug(
        "an array may be unpacked without a limit",
        "data/archives.py",
        "if announced > most else",
        "if announced < 0 else",
        ("tests/data/test_idx.py::test_what_expands_too_far_is_not_unpacked",),
    ),
    Bug(
        "the list of a zip archive may have any length",
        "data/archives.py",
        "if listed > LISTED or",
        "if",
        ("tests/data/test_idx.py::test_a_zip_archive_with_a_long_list",),
    ),
    Bug(
        "the header of an array may have any length",
        "data/npz.py",
        "    if size > MOST_HEADER:",
        "    if size > 2**62:",
        ("tests/data/test_family.py::test_sizes_are_compared_before_reading[long header]",),
    ),
    Bug(
        "NumPy makes the text of a saved network",
        "bench/training/saved.py",
        'if array.dtype.kind != "U":',
        "if array.dtype.kind:",
        ("tests/bench/training/test_saved.py::test_text_that_is_none",),
    ),
    Bug(
        "a picture may have any size",
        "data/picture.py",
        "    if width * height > MOST_PIXELS:",
        "    if width * height < 0:",
        ("tests/data/test_picture.py::test_a_picture_that_is_declared_too_large",),
    ),
    Bug(
        "a JPEG may have any number of scans",
        "data/picture.py",
        "if width * height * scans > MOST_PIXELS * MOST_SCANS:",
        "if scans < 0:",
        ("tests/data/test_picture.py::test_a_jpeg_of_many_scans",),
    ),
    Bug(
        "a compressed BMP is read",
        "data/picture.py",
        'if picture.format == "BMP" and',
        "if not picture.format and",
        ("tests/data/test_picture.py::test_a_compressed_bmp",),
    ),
    Bug(
        "an open part of a header may have any depth",
        "bench/records/particulars.py",
        "    if deepest == 0:",
        "    if deepest == -999:",
        ("tests/bench/records/test_particulars.py::test_headers_that_cannot_be_shown",),
    ),
    Bug(
        "the machine of a header is not checked",
        "bench/records/kinds.py",
        "        check_machine(self.machine)\n",
        "",
        ("tests/bench/records/test_particulars.py::test_a_machine_that_cannot_be_shown",),
    ),
    Bug(
        "the particulars of a header are not checked",
        "bench/records/kinds.py",
        "        check_about(self.about, self.participants)\n",
        "",
        ("tests/bench/records/test_particulars.py::test_particulars_that_cannot_be_shown",),
    ),
    Bug(
        "the baseline may be none of the participants",
        "bench/records/kinds.py",
        "if self.baseline not in self.participants:",
        "if not self.baseline:",
        ("tests/bench/records/test_particulars.py::test_headers_that_cannot_be_shown",),
    ),
    Bug(
        "a time may be shorter than any clock tells",
        "bench/timing/records.py",
        "Meta(ge=SHORTEST, le=1e100)",
        "Meta(gt=0, le=1e100)",
        ("tests/bench/records/test_particulars.py::test_times_that_no_clock_gives",),
    ),
    Bug(
        "mini-batches are compared where they were not evaluated",
        "bench/analysis/article.py",
        "    if 1 not in means or",
        "    if",
        ("tests/bench/analysis/test_article.py::test_mini_batches_by_the_epoch_and_to_the_same_accuracy",),
    ),
    Bug(
        "two ReLU experiments are shown as one",
        "reports/selection.py",
        'if results.kind == "article-relu" and',
        "if not results.kind and",
        ("tests/reports/test_studies.py::test_a_file_of_two_relu_experiments_is_passed_over",),
    ),
    # --- compiled code, which mutants run as plain Python only ------------------------------------------------------
    Bug(
        "numba_sparse lists a pixel for another image of the group",
        KERNELS,
        "for g, b in enumerate(of_images)]",
        "for g, b in enumerate(reversed(of_images))]",
        (OF_NUMBA + "test_pixels_are_listed_by_the_images_that_have_them[this]",),
    ),
    Bug(
        "numba_sparse does not empty the lists of the block before",
        KERNELS,
        "    lengths[:] = 0\n",
        "",
        (OF_NUMBA + "test_pixels_are_listed_by_the_images_that_have_them[this]",),
    ),
    Bug(
        "numba_sparse lists zeros too",
        KERNELS,
        'mask = differ("!=", vector, ir.Constant(vector.type, None))',
        'mask = differ("==", vector, vector)',
        (OF_NUMBA + "test_what_a_block_of_images_has[uint8]",),
    ),
    Bug(
        "numba_sparse takes what lies behind an image for its pixels",
        KERNELS,
        "    if first + 64 <= n_inputs:\n",
        "    if first <= n_inputs:\n",
        (OF_NUMBA + "test_bits_of_any_number_of_pixels[uint8]",),
    ),
    Bug(
        "numba_sparse misses the last pixel of an image that has fewer than 64",
        KERNELS,
        "    for pixel in range(n_inputs):\n        bits |=",
        "    for pixel in range(n_inputs - 1):\n        bits |=",
        (OF_NUMBA + "test_bits_of_any_number_of_pixels[uint8]",),
    ),
    Bug(
        "numba_sparse counts references to arrays at every call",
        KERNELS,
        ', "_nrt": False}',
        "}",
        (OF_NUMBA + "test_no_compiled_function_counts_references[impls.numba_sparse.kernels]",),
    ),
    Bug(
        "numba_sparse numbers the pixels of a list from 0 in each vector",
        KERNELS,
        "functools.reduce(builder.and_, bits), first, of_list,",
        "functools.reduce(builder.and_, bits), ir.Constant(first.type, 0), of_list,",
        (OF_NUMBA + "test_pixels_are_listed_by_the_images_that_have_them[this]",),
    ),
    Bug(
        "numba_sparse deals a tile out once too seldom",
        KERNELS,
        "for _ in range(TILE.bit_length() - 1):",
        "for _ in range(TILE.bit_length() - 2):",
        (OF_NUMBA + "test_what_a_block_of_images_has[uint8]",),
    ),
    Bug(
        "numba_sparse gives an image the bit of another",
        KERNELS,
        "byte * BLOCK + 64 * word, 3 <<",
        "byte * BLOCK, 3 <<",
        (OF_NUMBA + "test_what_a_block_of_images_has[float32]",),
    ),
    Bug(
        "numba_sparse takes an image for one without the second pixel of a pair",
        KERNELS,
        "3 << 2 * of_byte",
        "1 << 2 * of_byte",
        (OF_NUMBA + "test_what_a_block_of_images_has[uint8]",),
    ),
    Bug(
        "numba_sparse keeps bits beyond the images of a short block",
        KERNELS,
        "                if n < 64 * (word + 1):  #",
        "                if n < 64 * word:  #",
        (OF_NUMBA + "test_what_a_block_of_images_has[uint8]",),
    ),
    Bug(
        "numba_sparse takes a pixel that is not a number for zero",
        KERNELS,
        "builder.fcmp_unordered if",
        "builder.fcmp_ordered if",
        (OF_NUMBA + "test_what_a_block_of_images_has[float32]",),
    ),
    Bug(
        "numba_sparse counts what lies beyond the outputs in a softmax",
        KERNELS,
        "powers = builder.select(among, exponential(builder, above), ir.Constant(kind, None))",
        "powers = exponential(builder, above)",
        (OF_NUMBA + "test_sigmoid_and_softmax_by_vectors",),
    ),
    Bug(
        "numba_sparse has the exponential of float64 as exact as that of float32",
        KERNELS,
        "bits, mantissa, terms = 64, 52, 13",
        "bits, mantissa, terms = 64, 52, 8",
        (OF_NUMBA + "test_sigmoid_and_softmax_by_vectors",),
    ),
    Bug(
        "numba_sparse goes backward without the last image of a block",
        KERNELS,
        "    list_images(lists.masks[t], block.stop - block.start,",
        "    list_images(lists.masks[t], block.stop - block.start - 1,",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0]",),
    ),
    Bug(
        "numba_sparse takes the images of all words for those of the first",
        KERNELS,
        "chosen, bits = offset(sequence, 64 * word), pointer(of_pairs, word)",
        "chosen, bits = sequence, pointer(of_pairs, word)",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0]",),
    ),
    Bug(
        "numba_sparse adds an update's gradient to that of the update before",
        KERNELS,
        "            gradient[2 * pair : 2 * pair + 2] = 0\n",
        "            pass\n",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0.9]",),
    ),
    Bug(
        "numba_sparse lists the groups of another part",
        KERNELS,
        "listed |= is_in_part(group, groups, unit % work.parts, work.parts)",
        "listed |= is_in_part(group, groups, unit % work.parts, work.parts + 1)",
        (OF_NUMBA + "test_every_division_computes_the_same[division1-0]",),
    ),
    Bug(
        "numba_sparse reads beyond the last of an odd number of pixels",
        KERNELS,
        'second = builder.select(builder.icmp_signed("<", after, n_inputs), after, first)',
        "second = after",
        (OF_NUMBA + "test_an_odd_last_pixel_is_the_last_that_is_read",),
    ),
    Bug(
        "numba_sparse reads the dead row of an odd number of pixels as biases",
        KERNELS,
        "pointer(weights, (len(weights) - 1) * width)",
        "pointer(weights, n_inputs * width)",
        (OF_NUMBA + "test_layers_that_fill_their_memory[sizes0-float32]",),
    ),
    Bug(
        "numba_sparse skips a part of the pairs",
        KERNELS,
        "work.parts, len(work.values.costs)):\n"
        "        columns, part = unit // work.parts, unit % work.parts\n"
        "        delta_of_columns",
        "1, len(work.values.costs)):\n"
        "        columns, part = unit // work.parts, unit % work.parts\n"
        "        delta_of_columns",
        (OF_NUMBA + "test_every_division_computes_the_same[division1-0]",),
    ),
    Bug(
        "numba_sparse forgets the biases where a block of columns has several parts",
        KERNELS,
        "    if pairs % parts == part:\n",
        "    if parts == 1:\n",
        (OF_NUMBA + "test_every_division_computes_the_same[division1-0]",),
    ),
    Bug(
        "numba_sparse reads weights before another part has changed them",
        KERNELS,
        "return 2 if work.parts == 1 else 3",
        "return 2",
        (OF_NUMBA + "test_every_division_computes_the_same[division1-0]",),
    ),
    Bug(
        "numba_sparse forgets what some columns add to the second layer",
        KERNELS,
        "(biases[j] if columns == 0 else out[k * row + j]) + more[k * width + j]",
        "biases[j] + more[k * width + j]",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0]",),
    ),
    Bug(
        "numba_sparse goes back through weights that have already changed",
        KERNELS,
        "        delta_of_columns(work, columns, block.stop - block.start, delta_first)\n"
        "        learn_columns(work, block, columns, part)\n",
        "        learn_columns(work, block, columns, part)\n"
        "        transpose_columns(work, columns)\n"
        "        delta_of_columns(work, columns, block.stop - block.start, delta_first)\n",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0]",),
    ),
    Bug(
        "numba_sparse adds an update's gradient of the second layer's weights to that of the update before",
        KERNELS,
        "    fresh = block.first and not block.direct\n",
        "    fresh = False\n",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0.9]",),
    ),
    Bug(
        "numba_sparse trains what only fills a vector of a narrow layer",
        KERNELS,
        "    return min(width, work.shape.layers[1].units - columns * width)\n",
        "    return width\n",
        (OF_NUMBA + "test_every_division_computes_the_same[division0-0]",),
    ),
    # --- promises ----------------------------------------------------------------------------------------------------
    *OF_PROMISES,
)


def faults_of(bug: Bug, tree: Path = ROOT) -> list[str]:
    """What is wrong with an entry, each in a line; nothing if it can be run."""
    source = (tree / bug.file).read_text()
    found = []
    if source.count(bug.code) != 1:
        found.append(f"{bug.file}: expected once, found {source.count(bug.code)} times: {bug.code!r}")
    for test in bug.tests:
        path, _, function = test.partition("[")[0].partition("::")
        if not (tree / path).is_file() or f"def {function}(" not in (tree / path).read_text():
            found.append(f"{path}: expected a test {function}, found none")
    return found


def run(tests: Sequence[str], tree: Path, limit: float | None = LIMIT) -> tuple[int, str]:
    """Pytest's exit code for these tests, or HANGS beyond `limit` seconds, and the test that failed first."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-n", "0", *tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}  # a file that is changed back could pass for the other
    pipe, into = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=pipe, stderr=into, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return HANGS, tests[0]
    failed = re.search(r"^FAILED (\S+)", output, re.MULTILINE)
    return process.returncode, failed[1] if failed else output


def judge(bug: Bug, tree: Path) -> bool:
    """Put one bug in, run its tests, take it out; whether they caught it is printed and returned."""
    path = tree / bug.file
    source = path.read_text()
    begin = time.monotonic()
    path.write_text(source.replace(bug.code, bug.bug))
    try:
        code, said = run(bug.tests, tree)
    finally:
        path.write_text(source)
    caught = code in (FAILED, HANGS)
    how = "caught" if code == FAILED else "caught, as it hangs" if code == HANGS else "SURVIVED"
    print(f"{how}: {bug.name} ({time.monotonic() - begin:.1f} s)", flush=True)
    if not caught:
        print(f"  {bug.file}; expected to fail: {' '.join(bug.tests)}\n{said if code else ''}", flush=True)
    return caught


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.harness", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a bug, or a part of it; all if none is given")
    parser.add_argument("--list", action="store_true", help="name the bugs and the tests that catch them, run nothing")
    options = parser.parse_args()
    options.bugs = [bug for bug in BUGS if not options.names or any(name in bug.name for name in options.names)]
    if not options.bugs:
        parser.error(f"no bug has {options.names[0]!r} in its name; --list names all")
    return options


def main() -> int:
    """Judge the bugs; 1 if one survived, or its entry no longer fits the code."""
    options = read_options()
    if options.list:
        print(*(f"{bug.name}\n    {bug.file}: {' '.join(bug.tests)}" for bug in options.bugs), sep="\n")
        return 0
    from tests.mutation.__main__ import snapshot  # which needs Cosmic Ray; the table does not

    with snapshot() as tree:
        faults = [f"{bug.name}: {fault}" for bug in options.bugs for fault in faults_of(bug, tree)]
        if faults:
            print(*faults, sep="\n")
            return 1
        code, said = run(list(dict.fromkeys(test for bug in options.bugs for test in bug.tests)), tree, None)
        if code:
            raise SystemExit(f"error: the tests fail without a bug, expected them to pass: {said}")
        survivors = [bug.name for bug in options.bugs if not judge(bug, tree)]
    print(f"{len(options.bugs) - len(survivors)} of {len(options.bugs)} bugs caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

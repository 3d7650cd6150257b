#!/usr/bin/env bash
# pytest-benchmark's pedantic mode: no teardown under --benchmark-disable, and with iterations > 1 one call untimed.
#
# Versions: pytest-benchmark 5.3.1, pytest 9.2.0.
#
# Behaviour: benchmark.pedantic(target, setup=..., teardown=...) calls setup and target once under --benchmark-disable,
# but returns before teardown: what setup took stays taken. Where benchmarks are on and iterations is above 1, a call of
# its own, after all rounds, gives the value that pedantic returns. A target that changes something, say trains a model,
# has then done so once more than rounds x iterations.
#
# Expected: setup and teardown are called in pairs; calls are as many as asked for. (The issues were searched for both;
# none was found.)
#
# Way out: a pytest fixture that cleans up; iterations=1.
#
# Output seen:
#     enabled, 5 rounds: setup 5, target 5, teardown 5
#     disabled, 5 rounds: setup 1, target 1, teardown 0
#     enabled, 5 rounds of 3 iterations: target 16
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-benchmark==5.3.1

cat >"$folder/test_calls.py" <<'PYTHON'
import collections
import os

calls = collections.Counter()


def called(name):
    return lambda: calls.update([name])


def test_in_rounds(benchmark):
    benchmark.pedantic(called("target"), setup=called("setup"), teardown=called("teardown"), rounds=5)
    mode = "disabled" if benchmark.disabled else "enabled"
    counts = ", ".join(f"{name} {calls[name]}" for name in ("setup", "target", "teardown"))
    print(f"{mode}, 5 rounds: {counts}")


def test_in_iterations(benchmark):
    calls.clear()
    benchmark.pedantic(called("target"), rounds=5, iterations=3)
    print(f"enabled, 5 rounds of 3 iterations: target {calls['target']}")
PYTHON

run() { (cd "$folder" && venv/bin/python -m pytest -q -s -p no:cacheprovider "$@" | grep -oE '(en|dis)abled, 5.*'); }
seen=$(run test_calls.py::test_in_rounds; run --benchmark-disable test_calls.py::test_in_rounds
    run test_calls.py::test_in_iterations)
printf '%s\n' "$seen"
[ "$seen" = 'enabled, 5 rounds: setup 5, target 5, teardown 5
disabled, 5 rounds: setup 1, target 1, teardown 0
enabled, 5 rounds of 3 iterations: target 16' ] || { echo 'the behaviour has changed'; exit 1; }

# digitbench: `make bench` measures, `make test` checks. Both first install what they need in .venv.
# They need make and Python 3.11 or newer with venv; PYTHON=python3.12 selects another Python.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: help bench bench-peers test mutation torture data report clean

help:
	@echo 'make bench        the four questions answered on this machine, with a page (five minutes)'
	@echo 'make bench-peers  the same, including PyTorch, JAX and scikit-learn (installs them, half a GB or more)'
	@echo 'make test         lint, types and tests'
	@echo 'make mutation     change backends, then the harness, in one place at a time and check that tests fail (minutes)'
	@echo 'make torture      attack readers, runs and downloads (under 30 minutes)'
	@echo 'make data         download MNIST (otherwise DIGITBENCH_DATA or the built-in digits are used)'
	@echo 'make report       draw the report from the newest results'
	@echo 'make clean        remove the environment and all generated files except results'

bench: $(VENV)/ready
	$(PY) -m bench

bench-peers: $(VENV)/peers
	$(PY) -m bench

# Many containers set PYTHONDONTWRITEBYTECODE; then each process that a test starts would compile our sources again.
# A test that hangs is ended after five minutes, and named with what each of its threads does.
test: $(VENV)/ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --num-workers auto
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n auto --dist worksteal \
		-o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true

mutation: $(VENV)/mutation
	$(PY) -m tests.mutation naive vectorized minibatch numba
	$(PY) -m tests.mutation numba_dense --sample 10
	$(PY) -m tests.mutation numba_sparse --sample 30
	$(PY) -m tests.mutation.harness

torture: $(VENV)/torture
	$(PY) -m tests.torture

data: $(VENV)/ready
	$(PY) -m data fetch

report: $(VENV)/ready
	$(PY) -m reports

$(VENV)/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || \
		{ echo 'error: $(PYTHON) is missing; install Python 3.11 or newer, or give PYTHON=...'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) is too old, expected 3.11 or newer; give PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'error: $(PYTHON) has no venv; install it (Debian: apt install python3-venv)'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/peers: $(VENV)/ready
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers,light]'
	@touch $@

$(VENV)/mutation: $(VENV)/ready
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutation]'
	@touch $@

$(VENV)/torture: $(VENV)/ready
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torture]'
	@touch $@

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis data/cache reports/out bench/results/expected
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

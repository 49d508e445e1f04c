# Everything a contributor runs. `make help` lists it. Only `setup` touches the machine, and only inside $(VENV).

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-browser test-clients chaos soak fuzz test-hostile test-faults coverage lint types check bench lock clean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(READY) ## Make the virtual environment with pinned packages (repeated only when they change)

$(READY): requirements/dev.lock pyproject.toml scripts/make_venv.sh
	@./scripts/make_venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY) ## Stream a recording through the whole service, show its transcript, and ask something by voice
	@$(PY) examples/demo.py

test: $(READY) ## Fetch the weights if they are missing and run all tests (more arguments: PYTEST_ARGS)
	$(VENV)/bin/harken models pull
	$(PY) -m pytest $(PYTEST_ARGS)

test-clients: $(READY) ## Test with clients of others, which it installs into .clients (1.5 GB; Node and npm needed)
	@./scripts/make_client_envs.sh $(PY) .clients
	. .clients/environment && $(PY) -m pytest tests/clients $(PYTEST_ARGS)

test-browser: $(READY) ## Test the page in real browsers (Debian: apt install chromium; others: docs/web.md)
	HARKEN_TEST_BROWSER=1 $(PY) -m pytest tests/browser $(PYTEST_ARGS)

test-faults: $(READY) ## Test what takes long: elections of a cluster, windows that kill workers, a restart under load
	HARKEN_TEST_FAULTS=1 $(PY) -m pytest tests/integration/test_nats_faults.py tests/integration/test_worker_faults.py \
	  tests/integration/test_live_restart.py $(PYTEST_ARGS)

chaos: $(READY) ## Hurt a running service by seed and check that no word is lost (arguments: CHAOS_ARGS)
	$(PY) -m tests.chaos $(CHAOS_ARGS)

soak: $(READY) ## Have 20 sessions speak for 30 minutes: memory and latency must stay flat (arguments: SOAK_ARGS)
	$(PY) -m tests.chaos.soak $(SOAK_ARGS)

fuzz: $(READY) ## Run over a million inputs against every parser, in minutes (arguments: FUZZ_ARGS="--inputs N --seed S")
	$(PY) -m tests.fuzz $(FUZZ_ARGS)

test-hostile: $(READY) ## Attack a gateway for some minutes, with ten times what the usual tests send
	HARKEN_TEST_HOSTILE=1 $(PY) -m pytest tests/integration/test_hostile_*.py $(PYTEST_ARGS)

# What presses keys at a terminal wants the machine for itself.
TERMINAL_TESTS := tests/unit/clients/cli/test_chat_terminal.py

coverage: $(READY) ## Check that the unit tests take every branch of the pure core
	$(PY) -m pytest tests/unit --quiet --numprocesses 2 --cov --cov-branch --ignore=$(TERMINAL_TESTS)
	$(PY) -m pytest $(TERMINAL_TESTS) --quiet

lint: $(READY) ## Check style and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(READY) ## Check types
	$(PY) -m mypy

check: lint types coverage test ## All of lint, types, coverage and test

bench: $(READY) ## Measure latency and accuracy in real time (arguments: BENCH_ARGS)
	$(PY) -m benchmarks.streaming $(BENCH_ARGS)

lock: ## Write requirements/*.lock from what is installed
	$(PY) scripts/write_locks.py

clean: ## Remove what tools and runs have left, but not the virtual environment
	rm -rf .harken .coverage htmlcov dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

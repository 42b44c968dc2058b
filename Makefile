# From nothing but Python 3.11 and make:
#   make install   a virtual environment in .venv with everything pinned, and the awcl program
#   make quickstart   that, then a whole study on synthetic scans; after Ctrl-C it goes on
#   make test      formatting, lint, import order, and every test but:
#   make test-bench   whether the benchmarks that run studies still run
#   make chaos     a study that is killed five times ends as one left alone (make soak: 20 times)
#   make bench     how fast, and beside what: benchmarks/RESULTS.md (make bench-long: the long rows)
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := .venv-bench

.PHONY: install quickstart test test-bench chaos soak bench bench-long bench-peers lint format clean

install: $(VENV)/.installed
	@echo "Ready: $(BIN)/awcl --help    (or: source $(BIN)/activate)"

$(VENV)/.installed: requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "make: $(PYTHON) is not Python 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	@test ! -d $(VENV) || echo "$(VENV) is there, but not all that is pinned: it goes on"
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): some minutes, in which pip says nothing"
	$(BIN)/pip install --disable-pip-version-check -q -r requirements.txt -r requirements-dev.txt -c constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

quickstart: install
	$(BIN)/awcl study run quickstart

# Real images, where they are: AWCL_TEST_DATA, or ../shared/data beside this checkout.
export AWCL_TEST_DATA ?= $(wildcard $(abspath ../shared/data))

# The slow tests of a process share one Ray.
# torch's threads wait asleep: awake, those of two processes take the cores from each other, and a
# test can take ten times as long.
test test-bench: export OMP_WAIT_POLICY = PASSIVE
test: install lint
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile
	$(BIN)/pytest -m slow -n 2 --dist loadfile --ignore tests/benchmarks

test-bench: install
	$(BIN)/pytest -m slow tests/benchmarks

chaos: install
	$(BIN)/python tests/chaos/study_kill.py

soak: install
	$(BIN)/python tests/chaos/study_kill.py --trials 24 --kills 20

bench: bench-peers
	$(PEERS)/bin/python -m benchmarks

bench-long: bench-peers
	$(PEERS)/bin/python -m benchmarks --long

# Peers in an environment of their own, which sees our packages too: one torch, the same for both.
bench-peers: install $(PEERS)/.installed

$(PEERS)/.installed: benchmarks/requirements.txt constraints.txt $(VENV)/.installed
	$(PYTHON) -m venv $(PEERS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/awcl.pth
	$(PEERS)/bin/pip install --disable-pip-version-check -q -r benchmarks/requirements.txt -c constraints.txt
	@touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(PEERS) build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

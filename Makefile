# The verbs of the project. `make run` and `make test` need nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs
TESTS  := $(VENV)/.tests
APT    := env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120
# One more than there are cores: many tests wait for processes that they have started.
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
PACKAGE := actors auth backends cli client mvcc raft rpc testing $(wildcard *.py)

.PHONY: run test browser check types lint format bench sim mutants raft-scripts proto soak clean help

help:            ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/' | sort

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Triode needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNS): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	$(BIN)/python -m compileall -q $(PACKAGE)
	@touch $@

$(TESTS): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	$(BIN)/python -m compileall -q $(PACKAGE)
	@touch $@ $(RUNS)

run: $(RUNS)    ## start a durable single node on 127.0.0.1:2379
	$(BIN)/triode

test: check browser ## lint, types and all tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

# Never a reason to fail: without a browser the tests that need one are skipped, and say so.
browser:         ## install Debian's chromium, in which the page at /ui is tested; needs apt and root, else nothing happens
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing chromium" \
	    && { timeout 300 $(APT) update >/dev/null 2>&1 || true; } \
	    && timeout 900 $(APT) install -y --no-install-recommends chromium >/dev/null 2>&1; } \
	  || echo "there is no browser, and none can be installed here: the tests that need one are skipped"

check: lint types  ## lint and types

lint: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TESTS)
	$(BIN)/mypy -p triode
	$(BIN)/mypy tests examples benchmarks

format: $(TESTS) ## rewrite the sources in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(TESTS)  ## our own benchmarks (see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(ARGS)

sim: $(TESTS)    ## simulated clusters under faults (SEEDS=1-1000 SECONDS=600); without SEEDS other long simulations too
	$(BIN)/python -m triode.testing.simulate --seeds $(or $(SEEDS),1-1000) $(if $(SECONDS),--seconds $(SECONDS)) 
	$(if $(SEEDS)$(SECONDS),,$(BIN)/python -m pytest -q -m long tests/raft tests/watch tests/mvcc tests/actors $(ARGS))

mutants: $(TESTS) ## break the package in known ways, and see that tests and simulator notice (ARGS="--no-simulation")
	$(BIN)/python tests/mutants/run.py $(ARGS)

raft-scripts: $(TESTS) ## play the Raft interaction scripts below DIR and print what passed
	@$(BIN)/python tests/raft/run_scripts.py $(or $(DIR),tests/raft/scripts)

soak: $(TESTS)   ## long crash, fuzz and differential runs
	$(BIN)/python -m pytest -q -m long tests $(ARGS)

proto: $(TESTS)  ## regenerate rpc/pb from rpc/proto
	$(BIN)/python rpc/proto/generate.py

clean:           ## remove what make made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The verbs of the project. `make run` and `make test` need nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: run test check types lint format bench sim proto soak clean help

help:            ## show this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/' | sort

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Triode needs Python 3.11 or newer (make PYTHON=python3.11 ...)" >&2; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

run: $(STAMP)    ## start a durable single node on 127.0.0.1:2379
	$(BIN)/triode

test: check      ## lint, types and all tests
	$(BIN)/python -m pytest -q $(ARGS)

check: lint types  ## lint and types

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy -p triode
	$(BIN)/mypy tests examples benchmarks

format: $(STAMP) ## rewrite the sources in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## our own benchmarks (see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(ARGS)

sim: $(STAMP)    ## long simulations: SEEDS=1000 make sim
	$(BIN)/python -m pytest -q -m long tests/simulation $(ARGS)

soak: $(STAMP)   ## long crash, fuzz and differential runs
	$(BIN)/python -m pytest -q -m long tests $(ARGS)

proto: $(STAMP)  ## regenerate rpc/pb from rpc/proto
	$(BIN)/python rpc/proto/generate.py

clean:           ## remove what make made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

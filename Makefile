# `make demo` and `make test` do all of their own set-up in .venv; they need Python 3.11 (or later) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INTEROP := tests/interop/node_modules/.installed

# Where the environment forbids to keep what is compiled, each process of a suite would compile all of it anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo test processes slow fuzz coverage check format schema interop bench bench-issuer bench-growth bench-kids bench-rules bench-tokens profile clean

help: ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV), which takes a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED) ## set up .venv with what was tested

demo: $(INSTALLED) ## issuer, sample API and gateway in one terminal
	@$(BIN)/scopegate demo

$(INTEROP): tests/interop/package.json
	@if command -v npm >/dev/null; then npm install --prefix tests/interop --no-package-lock --no-audit --no-fund --silent && touch $@; \
	  else echo "npm is missing: tests with OAuth software for Node are skipped"; fi

# Three on two cores, for each waits two fifths of its time: for timeouts, disks and other processes.
test: $(INSTALLED) ## the test suite, on two cores
	$(BIN)/python -m pytest -n 3 --dist worksteal

interop: $(INSTALLED) $(INTEROP) ## tests with the OAuth software of others, in Python and for Node, and in Chromium
	$(BIN)/python -m pytest -m interop

processes: $(INSTALLED) ## tests that start the commands as a user does, and stop, reload and kill them
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'processes and not slow'

slow: $(INSTALLED) ## long and large tests: 2 GiB bodies, memory
	$(BIN)/python -m pytest -m slow --timeout=600

fuzz: $(INSTALLED) ## coverage-guided fuzzing of the parsers, FUZZ seconds each (FUZZ=60); new inputs join the corpus
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt atheris
	for target in token target head; do $(BIN)/python -m tests.fuzz $$target -max_total_time=$(or $(FUZZ),60) -max_len=2048 \
	  tests/fuzz/corpus/$$target || exit 1; done

coverage: $(INSTALLED) ## branch coverage of policy/ and tokens/, which has to be complete
	$(BIN)/python -m pytest tests/policy tests/tokens --cov=gateway.policy --cov=gateway.tokens --cov=gateway.strict_json --cov-branch \
	  --cov-report=term-missing:skip-covered --cov-fail-under=100

check: $(INSTALLED) ## lint, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(INSTALLED) ## write the JSON Schemas in config/ anew
	$(BIN)/scopegate schema > config/gateway.schema.json
	$(BIN)/scopegate schema --issuer > config/issuer.schema.json
	$(BIN)/scopegate schema --tests > config/gateway.tests.schema.json

bench: $(INSTALLED) ## measure beside Envoy, HAProxy and a plain aiohttp proxy (BENCH='--rounds 3')
	bench/install $(BIN)/python
	$(BIN)/python -m bench $(BENCH)

bench-issuer: $(INSTALLED) ## tokens a second beside npm oidc-provider, Authlib and bare signing
	bench/install $(BIN)/python
	$(BIN)/python -m bench.issuance $(BENCH)

bench-growth: $(INSTALLED) ## large bodies, fixed rate, memory, and what grows with what
	bench/install $(BIN)/python
	$(BIN)/python -m bench.growth $(BENCH)

bench-kids: $(INSTALLED) ## good tokens beside a flood of invented key ids
	$(BIN)/python -m bench.kids $(BENCH)

bench-rules: $(INSTALLED) ## what 1,000 routes cost a request beside 10, and scopegate check
	$(BIN)/python -m bench.rules $(BENCH)

bench-tokens: $(INSTALLED) ## what a token costs, by algorithm and kind
	$(BIN)/python -m bench.tokens

profile: $(INSTALLED) ## what each step of a request costs
	$(BIN)/python -m bench.profile

clean: ## remove what was built
	rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

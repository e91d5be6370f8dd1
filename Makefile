# Every command of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
READY := .venv/ready
DEV := .venv/ready-dev

# The first interpreter that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header

# Options passed to the command: make run ARGS="--data digits --epochs 3"
ARGS ?=

.PHONY: help setup run test faults lint audit bench ui report reproduce doctor pictures clean lock

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Set up .venv from requirements.lock; other targets do this when needed

# uv takes half the time, but does not read pip's settings of an index: where there are any, pip installs.
# Byte code is compiled now, whatever PYTHONDONTWRITEBYTECODE says: without it every start takes three times as long.
define install
if command -v uv >/dev/null && test -z "$$($(BIN)/python -m pip config list)"; then \
	uv pip install --quiet --compile-bytecode --python $(BIN)/python -r $(1); \
else \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile -r $(1); \
fi
endef

$(READY): requirements.lock
	@test -n "$(PYTHON)" || { echo "make: needs Python 3.11, 3.12 or 3.13; none of them was found" >&2; exit 2; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(call install,$<)
	touch $@

# What only tests and checks need is installed beside it, by the targets that do.
$(DEV): $(READY) requirements-dev.lock
	$(call install,requirements-dev.lock)
	touch $@

run: $(READY) ## Run the whole chain on real data and print the answer
	@$(BIN)/python -m pipeline main $(ARGS)

report: $(READY) ## Make the report again from stored results
	@$(BIN)/python -m pipeline report $(ARGS)

reproduce: $(READY) ## Run the two articles' experiments; ARGS="--data mnist" takes hours, on all of MNIST
	@$(BIN)/python -m pipeline reproduce $(ARGS)

doctor: $(READY) ## Find what is broken; ARGS=--fix mends what can be mended
	@$(BIN)/python -m pipeline doctor $(ARGS)

ui: $(READY) ## Say where trainings and report are, and open the MLflow UI, on this machine only; ARGS="--port 5001"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m scripts.ui --host 127.0.0.1 $(ARGS)

# Three files at a time: many tests only wait for processes that they start, and the tests of a file share their set-up.
# In their own order, which has the longest files early, so that no worker is left alone with one of them.
# Byte code is kept, whatever PYTHONDONTWRITEBYTECODE says: else each process that a test starts compiles the project.
test: $(DEV) ## Run every test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

faults: $(DEV) ## Kill real commands, break what is around them, and write reports/reliability.md (an hour)
	$(BIN)/python -m tests.faults.matrix $(ARGS)

lint: $(DEV) ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(DEV) ## Look for vulnerable packages and unsafe code
	$(BIN)/bandit -q -c pyproject.toml -r pipeline scripts benchmarks
	$(BIN)/python -m scripts.audit

bench: $(DEV) ## Measure the engine, start-up and logging; ARGS="--data PATH" where Keras cannot download MNIST
	$(BIN)/python -m benchmarks.performance $(ARGS)
	$(BIN)/python -m benchmarks.overhead chain
	$(BIN)/python -m benchmarks.overhead logging

pictures: $(DEV) ## Take the pictures of README and docs anew, from a real chain; needs Chromium
	$(BIN)/python -m scripts.take_pictures $(ARGS)

lock: $(DEV) ## Choose versions anew from pyproject.toml, and rewrite the files that repeat them
	$(COMPILE) --extra uv --extra scale pyproject.toml -o requirements.lock
	$(COMPILE) --extra uv --extra scale --group dev --constraint requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/python -m scripts.render_project_files

clean: ## Remove the environment and caches; runs and reports stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Everything lives in .venv. Two commands for a stranger: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test check format bench modules lock mosquitto tmux clean

help:            ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/.made
	$(PIP) --require-hashes -r requirements/demo.txt -r requirements/build.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.made
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

mosquitto:       ## install the broker the tests speak to, when it is missing
	@sh tests/install-mosquitto.sh

tmux:            ## install the terminal that one test types on, when it is missing
	@sh tests/install-tmux.sh

demo: $(VENV)/.demo  ## a plant, a broker, the gateway, an outage, a crash, and a verdict
	$(BIN)/tidegate demo $(ARGS)

check: $(VENV)/.dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: mosquitto tmux check  ## the checks, then all tests
	$(BIN)/python -m pytest

bench: $(VENV)/.dev mosquitto  ## measurements, by hand; nothing here passes or fails
	$(BIN)/python -m tests.bench $(ARGS)

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

modules: $(VENV)/.dev  ## build the Wasm modules into modules/dist
	$(BIN)/python -m modules.build

lock: $(VENV)/.dev  ## compile requirements/*.txt anew
	cd requirements && sh lock.sh

clean:           ## remove what the tools made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

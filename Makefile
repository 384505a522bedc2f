# Everything lives in .venv. Two commands for a stranger: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test lives endurance powercut chaos check format bench fuzz modules modules-long lock mosquitto tmux prometheus systemd image modules-image image-needs tools test-image clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

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
	@sh tests/install.sh mosquitto mosquitto

tmux:            ## install the terminal that one test types on, when it is missing
	@sh tests/install.sh tmux tmux

prometheus:      ## install what the tests scrape a gateway and check the alert rules with, when it is missing
	@sh tests/install.sh prometheus prometheus promtool

systemd:         ## install what checks the unit file, when it is missing
	@sh tests/install.sh systemd systemd-analyze

demo: $(VENV)/.demo  ## a plant, a broker, the gateway, an outage, a crash, and a verdict
	$(BIN)/tidegate demo $(ARGS)

check: $(VENV)/.dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: mosquitto tmux prometheus systemd check  ## the checks, then all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

endurance: mosquitto $(VENV)/.dev  ## the long form of what the tests do in short: a cable that is out for 30 s, a broker for 20 s
	TIDEGATE_CUT_S=30 TIDEGATE_OUTAGE_S=20 $(BIN)/python -m pytest tests/e2e/test_continuity.py tests/e2e/test_outage.py

chaos: mosquitto $(VENV)/.dev  ## 200 rounds of random kills, cuts and failing disks under load; ARGS="--seed N --rounds M"
	$(BIN)/python -m tests.chaos $(ARGS)

powercut: $(VENV)/.dev  ## cut a recorded life of the spool at each boundary, in each way, three times
	TIDEGATE_POWER_CUTS=3 $(BIN)/python -m pytest --timeout 3600 tests/gateway/spool/test_power_cut.py

lives: $(VENV)/.dev  ## the long form of the spool's model: 2,000 random lives
	TIDEGATE_LIVES=2000 $(BIN)/python -m pytest --timeout 7200 tests/gateway/spool/test_model.py

bench: $(VENV)/.dev mosquitto  ## measurements, by hand; nothing here passes or fails
	$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(VENV)/.dev  ## feed every decoder 100,000 damaged inputs; ARGS="modbus.rtu --inputs 1000000"
	$(BIN)/python -m tests.fuzz $(ARGS)

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

modules: $(VENV)/.dev  ## build the Wasm modules into modules/dist
	$(BIN)/python -m modules.build

modules-long: $(VENV)/.dev  ## the long form of the modules' tests: 1,500 drawn cases for each oracle, 10,000 damaged files
	TIDEGATE_EXAMPLES=1500 TIDEGATE_MUTATED=10000 $(BIN)/python -m pytest --timeout=3000 \
		tests/modules/test_library.py tests/gateway/wasm/test_mutated.py

image: $(VENV)/.demo  ## build the container image, build/image/tidegate.oci.tar
	@PYTHON=$(BIN)/python sh image/build.sh

modules-image: $(VENV)/.demo  ## pack the Wasm modules as an image from scratch, build/image/tidegate-modules.oci.tar
	@PYTHON=$(BIN)/python sh image/modules.sh

image-needs:     ## install what images are built with, when it is missing
	@sh tests/install.sh mmdebstrap mmdebstrap
	@sh tests/install.sh zstd zstd
	@sh tests/install.sh binutils strip

tools: image-needs  ## unpack what the image's checks run with, Debian trixie's podman, WasmEdge and kubectl, into build/tools
	@sh tests/image_build/tools.sh build/tools

test-image: mosquitto tools $(VENV)/.dev  ## build the images and run them: limits, an outage, a pod, WasmEdge; as root
	@$(MAKE) --no-print-directory image modules-image
	$(BIN)/python -m pytest tests/image_build/check_*.py

lock: $(VENV)/.dev  ## compile requirements/*.txt anew
	cd requirements && sh lock.sh

clean:           ## remove what the tools made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

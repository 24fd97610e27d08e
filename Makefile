# The verbs a developer types; CI runs the same. Everything is installed into .venv, nothing outside of it but
# mosquitto, and that only for the tests and only through apt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCE ?= simulated://students=24,seed=7,teacher=true,lesson_s=150

.PHONY: help demo test check ablations bench bench-cameras bench-int8 bench-fleet bench-history bench-dashboard bench-scaling bench-soak docs format wheelhouse clean
help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.demo  ## see it work: SOURCE=<file, camera index, rtsp url>, DEMO_SECONDS=30
	@$(BIN)/roomtone demo --source '$(SOURCE)' $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: $(VENV)/.dev  ## all tests, with a real broker, real films and both engines
	@sh tests/prerequisites.sh
	$(BIN)/pytest

check: $(VENV)/.dev  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## the loop against plain loops and the floor, ratios of one run: BENCH='--rounds 5 --plot docs/benchmarks.png'
	$(BIN)/python tests/bench/loop.py $(BENCH)

bench-agreement: $(VENV)/.dev  ## why classes differ from the plain loop's, one cause at a time: AGREEMENT='--plain-frames 50'
	$(BIN)/python tests/bench/agreement.py $(AGREEMENT)

bench-cameras: $(VENV)/.dev  ## 1, 2 and 4 cameras with 22 faces each on this board, against real time: CAMERAS='--seconds 60'
	$(BIN)/python tests/bench/cameras.py $(CAMERAS)

ablations: $(VENV)/.dev  ## P4's and P5's, each row for a few epochs of FER2013: ABLATIONS='--data fer2013.npz --out runs/ablations'
	$(BIN)/python tests/bench/ablations.py $(ABLATIONS)

bench-int8: $(VENV)/.dev  ## INT8 against float32, and against the processor's peak: INT8='--rounds 7 --json int8.json'
	$(BIN)/python tests/bench/int8.py $(INT8)

bench-fleet: $(VENV)/.dev  ## 1,000 simulated devices, one mosquitto, one collector: is anything lost, and what does it cost?
	$(BIN)/python tests/bench/fleet.py $(FLEET)

bench-history: $(VENV)/.dev  ## 30 days of 30 rooms in SQLite: how long the room page's questions take
	$(BIN)/python tests/bench/history.py

bench-scaling: $(VENV)/.dev  ## cost against faces, resolution, cameras and rates; how well it is foretold: SCALING='--perf FILE --plot docs/scaling.png'
	$(BIN)/python tests/bench/scaling.py $(or $(SCALING),--perf firmware_configs/perf/x86-64-2-cores.json)

bench-soak: $(VENV)/.dev  ## full load for half an hour: memory and latency, SOAK='--minutes 30'
	$(BIN)/python tests/bench/soak.py $(SOAK)

docs: $(VENV)/.dev  ## docs/configuration.md, from the schema; docs/boards.md, from firmware_configs/perf/
	$(BIN)/roomtone config docs > docs/configuration.md
	$(BIN)/roomtone profile boards --markdown > docs/boards.md

bench-dashboard: $(VENV)/.dev  ## 1,000 devices, one dashboard: from publishing to the pixel in Chromium
	$(BIN)/python tests/bench/dashboard.py $(DASHBOARD)

wheelhouse: $(VENV)/bin/pip  ## all wheels of a board without internet: ARCH=aarch64 or x86_64, EXTRAS=provision
	@$(BIN)/python firmware_configs/wheelhouse.py $(ARCH) $(if $(EXTRAS),--extras $(EXTRAS))

format: $(VENV)/.dev  ## mends what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "roomtone needs Python 3.11 or later; say which with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "no venv module; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/pip
	@echo "installing roomtone into $(VENV) (once) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/pip
	@echo "installing roomtone with everything that tests need into $(VENV) (once; about 2 GB) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

clean:           ## removes the virtual environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist

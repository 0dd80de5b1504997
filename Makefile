# `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Of the shell, because functions of make take a path with blanks for several.
WITH_BIN := PATH="$$(cd "$(BIN)" && pwd):$$PATH"
SOURCES := python tests benchmarks examples packaging docs/build.py docs/conf.py docs/_kernel.py docs/_extensions

.DEFAULT_GOAL := help
.PHONY: help setup dev test test-isa bench chart lint format asan races trust trust-short platforms docs wheel ci

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Without code: pyproject.toml says what FASTMLP_METADATA_ONLY leaves out. The .pth file makes this tree importable, and
# PYTHONPATH, by which tests import other builds, takes precedence over it, as it would not over an editable install.
setup:  ## create .venv for development: this tree is imported from where it is, with all extras and tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	FASTMLP_METADATA_ONLY=1 $(BIN)/pip install --quiet '.[dev]'
	$(BIN)/python -c 'import pathlib, sysconfig; \
	  pathlib.Path(sysconfig.get_path("purelib"), "fastmlp-tree.pth").write_text("$(CURDIR)/python\n")'
	$(MAKE) dev

# The lock makes a second build of the same tree wait for the first.
dev:  ## compile what changed in cpp/ and place the module in python/fastmlp
	@mkdir -p build
	$(WITH_BIN) flock build/dev.lock sh -ec '\
	  cmake --preset dev --log-level=WARNING -DPython_EXECUTABLE="$$(command -v python)" \
	    -Dpybind11_DIR="$$(python -m pybind11 --cmakedir)" $${CXX:+"-DCMAKE_CXX_COMPILER=$$CXX"}; \
	  cmake --build --preset dev; \
	  cmake --install build/dev --prefix python'

# One thread each unless a test names threads: the teams of two processes on two cores would wait for each other.
test:  ## run the test suite in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -p no:benchmark

test-isa:  ## run the test suite once for each instruction set of this machine
	for isa in $$($(BIN)/python -c 'from fastmlp import _core; print(*_core.isas())'); do \
	  echo "== $$isa"; FASTMLP_ISA=$$isa $(BIN)/python -m pytest -q || exit 1; done

bench:  ## run the benchmark suites; nothing else should run meanwhile
	$(BIN)/python -m pytest benchmarks -q

chart:  ## draw the chart of README.md from the tables of benchmarks/README.md
	$(BIN)/python benchmarks/chart.py

lint:  ## ruff, mypy for each system, clang-format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'cpp/*.cpp' 'cpp/*.hpp')

format:  ## format the sources
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/clang-format -i $$(git ls-files 'cpp/*.cpp' 'cpp/*.hpp')

asan:  ## run the test suite on a build with AddressSanitizer and UndefinedBehaviorSanitizer
	$(PYTHON) -m venv build/asan-venv
	build/asan-venv/bin/pip install --quiet '.[test]' -C cmake.define.FASTMLP_SANITIZE=address,undefined \
	  -C build-dir=build/asan
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 build/asan-venv/bin/python -m pytest -q

races:  ## run every kind of training step under ThreadSanitizer, then again without each barrier (SEED: of a third)
	$(WITH_BIN) "$(BIN)"/python tests/support/race_driver.py $(if $(SEED),--share 3 --seed $(SEED))

platforms:  ## build by Clang, for Arm in emulation, and the core for musl, Windows and macOS; compare bits
	$(WITH_BIN) "$(BIN)"/python tests/support/platforms.py $(or $(PLATFORMS),clang arm64 musl windows macos)

trust:  ## attack every promise of docs/trust.md and count the results: about 25 minutes
	PYTHONPATH=tests $(BIN)/python -m trust --json build/trust.json

trust-short:  ## the same in 3 minutes, without builds
	PYTHONPATH=tests $(BIN)/python -m trust --short $(if $(SEED),--seed $(SEED))

docs:  ## build the site in every language into build/site
	$(BIN)/python docs/build.py

wheel:  ## build the wheel of this machine twice, compare, repair and try it; it stays in dist/
	$(PYTHON) packaging/linux_wheel.py

ci:  ## run what continuous integration runs
	bash .ci/run

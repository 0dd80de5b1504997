# `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup build test test-isa bench lint format asan races trust trust-short ci

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## virtual environment with everything that development needs, fastmlp installed from this folder
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet '.[test,lint]'

build:  ## rebuild and reinstall after a change
	$(BIN)/pip install --quiet '.[test,lint]'

test:  ## the test suite, in two processes
	$(BIN)/python -m pytest -n 2 -p no:benchmark

test-isa:  ## the test suite once per instruction set of this machine
	for isa in $$($(BIN)/python -c 'from fastmlp import _core; print(*_core.isas())'); do \
	  echo "== $$isa"; FASTMLP_ISA=$$isa $(BIN)/python -m pytest -q || exit 1; done

bench:  ## the benchmark suites; nothing else should run meanwhile
	$(BIN)/python -m pytest benchmarks -q

lint:  ## ruff, mypy, clang-format
	$(BIN)/ruff check python tests benchmarks examples
	$(BIN)/ruff format --check python tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'cpp/*.cpp' 'cpp/*.hpp')

format:  ## rewrite the sources in the house style
	$(BIN)/ruff check --fix python tests benchmarks
	$(BIN)/ruff format python tests benchmarks
	$(BIN)/clang-format -i $$(git ls-files 'cpp/*.cpp' 'cpp/*.hpp')

asan:  ## the test suite on a build with AddressSanitizer and UndefinedBehaviorSanitizer
	$(PYTHON) -m venv build/asan-venv
	build/asan-venv/bin/pip install --quiet '.[test]' -C cmake.define.FASTMLP_SANITIZE=address,undefined \
	  -C build-dir=build/asan
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 build/asan-venv/bin/python -m pytest -q

races:  ## every kind of training step under ThreadSanitizer, and again without each meeting of its team
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/support/race_driver.py

trust:  ## attacks on every promise of docs/trust.md, counted: about 25 minutes (trust-short: 3)
	PYTHONPATH=tests $(BIN)/python -m trust --json build/trust.json

trust-short:  ## the same in 3 minutes, without building anything
	PYTHONPATH=tests $(BIN)/python -m trust --short $(if $(SEED),--seed $(SEED))

ci:  ## what continuous integration runs
	bash .ci/run

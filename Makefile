# Two commands do everything from a bare machine: `make demo` and `make test`. They need Python 3.11 or newer with venv, a
# C compiler, make and git; on Debian as root, what is missing is installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml meson.build $(shell find engine src tools -type f -not -path '*cache*')

.PHONY: all demo test bench lint clean

all: $(VENV)/.shrew

demo: $(VENV)/.shrew
	$(BIN)/shrew demo

test: lint
	@sh tools/system_packages.sh clang:clang
	$(BIN)/python -m pytest

lint: $(VENV)/.shrew-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.shrew-test
	for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(BIN)/python:
	@sh tools/system_packages.sh cc:gcc git:git $(PYTHON):python3
	$(PYTHON) -m venv $(VENV)

$(VENV)/.shrew: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[plot]'
	@touch $@

$(VENV)/.shrew-test: $(VENV)/.shrew
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

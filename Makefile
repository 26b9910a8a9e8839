# Two commands do everything from a bare machine: `make demo` and `make test`. They need Python 3.11 or newer with venv, a
# C compiler, make and git; on Debian as root, what is missing is installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml meson.build $(shell find engine ports src tools vectors web -type f -not -path '*cache*')

# Commands, or files, and the Debian packages that have them: compilers and emulators for the ports.
EMULATORS := riscv64-unknown-elf-gcc:gcc-riscv64-unknown-elf \
	/usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs:picolibc-riscv64-unknown-elf \
	clang-22:clang-22 llc-22:llvm-22 xtensa-lx106-elf-ld:binutils-xtensa-lx106 qemu-system-riscv32:qemu-system-misc

FUZZERS := clang:clang clang-22:clang-22 \
	/usr/lib/llvm-22/lib/clang/22/lib/linux/libclang_rt.fuzzer-$(shell uname -m).a:libclang-rt-22-dev

.PHONY: all demo test fuzz bench emulate wasm firmware flash monitor lint clean

all: $(VENV)/.shrew

demo: $(VENV)/.shrew
	$(BIN)/shrew demo

# Tests of one file share what they build or start, so a file stays with one process.
WORKERS ?= 2
test: lint
	@sh tools/system_packages.sh $(FUZZERS) wasm-ld-22:lld-22 node:nodejs chromium:chromium $(EMULATORS)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.shrew-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

MINUTES ?= 10
fuzz: $(VENV)/.shrew-test
	@sh tools/system_packages.sh $(FUZZERS)
	PYTHONPATH=tests $(BIN)/python -m fuzz.run --minutes $(MINUTES)

bench: $(VENV)/.shrew-test
	for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# The cost of MODEL on every emulated chip, and whether all conformance vectors are identical there.
MODEL ?= vectors/q8-16.bin
emulate: $(VENV)/.shrew
	@sh tools/system_packages.sh $(EMULATORS)
	$(BIN)/shrew bench --emulate all --model $(MODEL)

# The module is part of the source: rebuild it after every change of the engine.
wasm: $(VENV)/.shrew
	@sh tools/system_packages.sh clang-22:clang-22 wasm-ld-22:lld-22 node:nodejs
	$(BIN)/python -m shrew.ports.wasm ports/wasm/shrew.wasm

# The firmware, by ESP-IDF (docs/FIRMWARE.md): CHIP is its target; FLASH is 4mb, 8mb or 16mb.
CHIP ?= esp32s3
FLASH ?= $(if $(filter esp32s3 esp32p4,$(CHIP)),8mb,4mb)
FIRMWARE := build/firmware-$(CHIP)-$(FLASH)
IDF = idf.py -C firmware -B $(CURDIR)/$(FIRMWARE) -D IDF_TARGET=$(CHIP) -D SDKCONFIG=$(CURDIR)/$(FIRMWARE)/sdkconfig \
	-D 'SDKCONFIG_DEFAULTS=sdkconfig.defaults;flash/$(FLASH).defaults' $(if $(PORT),-p $(PORT))

firmware flash monitor:
	@test -n "$$IDF_PATH" || { echo 'no ESP-IDF: install 5.5 or 6.0 and run ". $$IDF_PATH/export.sh" first' >&2; exit 1; }
	@command -v idf.py >/dev/null || { echo "$$IDF_PATH: no idf.py on PATH; run \". $$IDF_PATH/export.sh\" first" >&2; exit 1; }
	$(IDF) $(if $(filter firmware,$@),build,$@)

$(BIN)/python:
	@sh tools/system_packages.sh cc:gcc git:git $(PYTHON):python3
	$(PYTHON) -m venv $(VENV)

$(VENV)/.shrew: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[plot,serve,board]'
	@touch $@

$(VENV)/.shrew-test: $(VENV)/.shrew
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

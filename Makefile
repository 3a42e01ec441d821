# The one entry to the house: the README and .ci/run call only these targets. A fresh machine needs python3 (3.11 or
# newer), cargo, a C linker and make. Nothing is rebuilt needlessly: what a target needs is a stamp or the built module.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
# The venv of the comparison with PyTorch: .venv plus torch, so that `make test` runs, and provably so, without torch.
PARITY_VENV := .venv-parity
PARITY_PYTHON := $(PARITY_VENV)/bin/python

# Libraries written for PyTorch, without it.
PROGRAMS_VENV := .venv-programs
PROGRAMS_PYTHON := $(PROGRAMS_VENV)/bin/python
LIBRARIES := $(PROGRAMS_VENV)/.libraries

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYO3_PYTHON := $(abspath $(PYTHON))
export VIRTUAL_ENV := $(abspath $(VENV))
export PATH := $(abspath $(VENV))/bin:$(PATH)

NATIVE_SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml pyproject.toml \
    $(shell find src -name '*.rs' -o -name '*.wgsl' -o -name Cargo.toml)
MODULE := python/rustnn/_core.abi3.so
TOOLS := $(VENV)/.tools
DOC_TOOLS := $(VENV)/.doc-tools
TORCH := $(PARITY_VENV)/.torch
DRIVER := $(VENV)/.vulkan-driver
# Mesa's device-select layer asks a window system that is not there, and complains.
export NODEVICE_SELECT := 1
PYTHON_CODE := python tests examples benches tools
# A download that broke off is tried again after a while: pip's own retries follow one another within seconds.
again = for pause in 20 60 180 0; do $(1) && break; [ $$pause != 0 ] && echo "again in $$pause s" && sleep $$pause || exit 1; done

.PHONY: help setup build wheel train test examples parity programs lint check stubs docs bench bench-rust

help: ## Lists the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(TOOLS) $(DRIVER) ## Makes .venv with the tools that building and testing need; as root, a Vulkan driver for the GPU tests.

build: $(MODULE) ## Builds the extension in release mode and installs the package into .venv, editable.

wheel: $(MODULE) ## Builds the wheel to publish into DIST, by default dist/.
	$(VENV)/bin/maturin build --release --quiet --compression-level 9 --out $(or $(DIST),dist)

train: $(MODULE) ## Trains a CNN on the handwritten digits; DEVICE=gpu picks a device, ARGS="--epochs 5" adds options.
	$(PYTHON) examples/train_digits.py $(if $(DEVICE),--device $(DEVICE)) $(ARGS)

test: $(MODULE) $(DRIVER) ## Runs the Rust tests, the Python tests and every code block of the docs; needs no PyTorch.
	RUSTNN_PYTHON=$(abspath $(PYTHON)) cargo test --workspace --exclude rustnn-python
	cargo test --features gpu --test rust gpu::
	$(PYTHON) -m pytest tests

examples: ## Tests the examples that are packages of their own: serving over HTTP, a small static program.
	cargo test --manifest-path examples/serve/Cargo.toml
	$(PYTHON3) examples/embedded/check.py

parity: $(MODULE) $(TORCH) ## Installs PyTorch into .venv-parity and compares every op, layer and optimizer with it, live.
	$(PARITY_PYTHON) -m pytest tests/parity

programs: $(MODULE) $(LIBRARIES) ## Runs libraries written for PyTorch (torchvision, transformers, …) on rustnn.
	$(PROGRAMS_PYTHON) tests/programs/run.py $(ARGS)

lint: $(MODULE) check ## Checks format, clippy, ruff, types and the rules of the house.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --quiet --lib --no-default-features
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --lib
	$(VENV)/bin/ruff check $(PYTHON_CODE)
	$(VENV)/bin/ruff format --check $(PYTHON_CODE)
	$(PYTHON) -m mypy
	$(PYTHON) tools/make_stubs.py --check

check: ## Checks which crate may depend on which, the rooms of unsafe, and what else the design lays down.
	$(PYTHON3) tools/check_house.py

stubs: $(MODULE) ## Writes python/rustnn/_core.pyi from the op table.
	$(PYTHON) tools/make_stubs.py

docs: $(MODULE) $(DOC_TOOLS) ## Builds the site into site/.
	$(VENV)/bin/mkdocs build --strict --quiet

bench: $(MODULE) $(TORCH) ## Measures rustnn against PyTorch and writes the ratio table into benches/README.md.
	$(PARITY_PYTHON) benches/compare.py $(ARGS)

bench-rust: ## Measures the Rust crate against candle and burn and writes the ratio table into benches/README.md.
	$(PYTHON3) benches/rust/compare.py $(ARGS)

$(PYTHON):
	$(PYTHON3) -m venv $(VENV)

$(TOOLS): pyproject.toml | $(PYTHON)
	$(call again,$(PYTHON) -m pip install --quiet --upgrade "pip>=25.1")
	$(call again,$(PYTHON) -m pip install --quiet --group dev)
	@touch $@

# The GPU tests run on any Vulkan driver, also on one that the CPU imitates; without one they are skipped and say so.
$(DRIVER): | $(PYTHON)
	@if ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq mesa-vulkan-drivers >/dev/null || echo "no Vulkan driver: GPU tests will be skipped"; \
	else echo "no Vulkan driver, and not root (or not Debian) to install mesa-vulkan-drivers: GPU tests will be skipped"; fi
	@touch $@

$(DOC_TOOLS): $(TOOLS)
	$(call again,$(PYTHON) -m pip install --quiet --group docs)
	@touch $@

$(MODULE): $(NATIVE_SOURCES) $(TOOLS)
	PIP_QUIET=1 $(VENV)/bin/maturin develop --release --quiet
	@touch $@

# What .venv holds is seen from .venv-parity through a path file, so that only torch is installed a second time.
PURELIB := import sysconfig; print(sysconfig.get_path('purelib'))
$(TORCH): pyproject.toml $(TOOLS)
	$(PYTHON3) -m venv $(PARITY_VENV)
	here=$$($(PYTHON) -c "$(PURELIB)") there=$$($(PARITY_PYTHON) -c "$(PURELIB)") && \
	    echo "import site; site.addsitedir('$$here')" > "$$there/rustnn-venv.pth"
	$(call again,$(PYTHON) -m pip --python $(PARITY_PYTHON) install --quiet --resume-retries 20 --group parity)
	@touch $@

$(LIBRARIES): tests/programs/requirements.txt tests/programs/libraries.txt $(TOOLS)
	$(PYTHON3) -m venv $(PROGRAMS_VENV)
	echo "$(abspath python)" > "$$($(PROGRAMS_PYTHON) -c "$(PURELIB)")/rustnn.pth"
	$(PROGRAMS_PYTHON) -m pip install --quiet -r tests/programs/requirements.txt
	$(PROGRAMS_PYTHON) -m pip install --quiet --no-deps -r tests/programs/libraries.txt
	@touch $@

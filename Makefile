# Everything a person or CI does with this repository. Needs make and Python 3.11 or newer with venv; the rest is
# installed into .venv, and for `make test` from Debian's packages where that is allowed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# What is compiled is removed first: where it cannot be built any more, an old one must not be taken for the new one.
COMPILED := common/native/_batches* egress/native/_fanout* ingest/native/_pictures*
SOURCES := $(VENV)/.python setup.cfg setup.py pyproject.toml compiled.py $(wildcard common/native/*.[ch] egress/native/fanout.[ch] egress/native/passing.[ch] ingest/native/pictures.[ch] ingest/native/express.[ch])
INSTALL := rm -rf build $(COMPILED); $(BIN)/python -m pip --quiet --disable-pip-version-check install --editable

# The camera of `make run CAMERA=…` reaches the program by environment: a command line would show its password.
ifdef CAMERA
export CAMSHAFT_CAMERA := $(value CAMERA)
unexport CAMERA
MAKEOVERRIDES :=
endif

# A quarter of the tests' time would go into compiling the same modules, in each process of the tests and of the clusters.
export PYTHONDONTWRITEBYTECODE :=

# Tests mostly wait, so there are more processes than cores; tests/conftest.py says what runs beside what. The last two
# only run what computes, with what the others leave of the machine.
PARALLEL := -n 6 --dist loadgroup --no-loadscope-reorder
FAST     := not (e2e or browser or gstreamer or namespace or slow or thorough)

.PHONY: help run test test-fast check format bench codecs fuzz wheel system clean
.DEFAULT_GOAL := help

help:  ## What can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run  ## Start a cluster and print the page's address: make run [CAMERA=rtsp://user:password@host/path]
	@exec $(BIN)/camshaft serve --demo-if-none

test: $(VENV)/.test system  ## Run the tests; PYTEST= gives options to pytest
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

test-fast: $(VENV)/.test  ## Run what needs neither browser nor network namespace and waits for no clock: under two minutes
	@$(BIN)/python -m pytest $(PARALLEL) -n 6 --hypothesis-profile quick -m "$(FAST)" $(PYTEST)

check: $(VENV)/.check  ## Format, lint, types, layers: what must be clean before a commit
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@tools/check-scripts $(VENV)

format: $(VENV)/.check  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

codecs: $(VENV)/.test system  ## Watch every picture with every sound in Chromium, for docs/codec-table.md; PART=2/5 does a part
	@CODEC_TABLE=$(or $(PART),1/1) $(BIN)/python -m pytest tests/e2e/test_codec_table.py $(PYTEST)

bench: $(VENV)/.test  ## Measure; BENCH= gives options to the benchmark
	@$(BIN)/python -m bench $(BENCH)

fuzz: $(VENV)/.fuzz system  ## Look for inputs that no test knows; FUZZ= gives options, as --seconds 600 --target sdp
	@$(BIN)/python -m tests.fuzz $(FUZZ)

wheel: $(VENV)/.python  ## Build the wheel, and beside it the list of all that is installed with it, into dist/
	@$(BIN)/python tools/make-wheel

system: $(VENV)/.test
	@tools/system-packages $(BIN)/python
	@$(BIN)/python -c "import sys; from common import native as a; from egress import native as b; from ingest import native as c; sys.exit(not (a.BUILT and b.BUILT and c.BUILT))" || { $(INSTALL) .; }

clean:  ## Remove what the other commands made
	rm -rf $(VENV) build dist *.egg-info $(COMPILED) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed is installed again only when the metadata or what is compiled changes. Each brings what those
# touched beside it stand for: an installation takes as long as everything that it brings.
$(VENV)/.python:
	@tools/make-venv $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.run: $(SOURCES)
	@echo "Installing Camshaft into $(VENV) (once, about a minute) ..."
	@$(INSTALL) .
	@touch $@

$(VENV)/.test: $(SOURCES)
	@echo "Installing Camshaft and what its tests need into $(VENV) (once, about a minute) ..."
	@$(INSTALL) '.[test]'
	@touch $(VENV)/.run $@

$(VENV)/.fuzz: $(SOURCES)
	@$(INSTALL) '.[test,fuzz]'
	@touch $(VENV)/.run $(VENV)/.test $@

$(VENV)/.check: $(SOURCES)
	@$(INSTALL) '.[test,check]'
	@touch $(VENV)/.run $(VENV)/.test $@

# Works with GNU make, git and Python >= 3.10 alone; everything else goes into .venv.
#   PYTHON=python3.12 make test     another Python
#   make test ARGS="-k queue"       more arguments, here for pytest

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo lab test screenshots format bench clean distclean
.DELETE_ON_ERROR:

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## run the quickstart on the platform of this machine; write it to HTML
	@$(BIN)/python notebooks/run.py notebooks/01_quickstart.ipynb

lab: $(VENV)/.lab ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(ARGS) notebooks/01_quickstart.ipynb

test: $(VENV)/.test ## check style and types, and run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ARGS)

screenshots: $(VENV)/.test ## photograph the control panel for the README
	$(BIN)/python -m tests.browser.screenshots docs

format: $(VENV)/.test ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## measure side by side with a bare kernel and ipyparallel
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what was built; keep the environment
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environment as well
	rm -rf $(VENV)

# An environment is up to date when its stamp is younger than what names its packages.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or later is needed: name one, as in 'make PYTHON=python3.12 test'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments: install its venv package (on Debian:" \
	       "apt-get install python3-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

EXTRAS_demo  := local,demo
EXTRAS_lab   := local,demo,lab
EXTRAS_test  := local,demo,transfer,postgres,test
EXTRAS_bench := local,demo,bench

$(VENV)/.demo $(VENV)/.lab $(VENV)/.test $(VENV)/.bench: $(VENV)/.%: pyproject.toml Makefile | $(BIN)/python
	@echo "Installing the package with its extras $(EXTRAS_$*) into $(VENV) ..."
	@$(PIP) --editable '.[$(EXTRAS_$*)]'
	@touch $@

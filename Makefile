# The words a developer types. Everything lives in .venv and .local of this folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3; do \
	"$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO ?=
# Most tests wait for something now and then: three side by side keep two cores busy.
PROCESSES ?= 3
BENCH ?=

# Neither variables of another project nor a user's own packages may leak in.
unexport PYTHONPATH PYTHONHOME DJANGO_SETTINGS_MODULE
export PYTHONNOUSERSITE := 1
export PYTHONUNBUFFERED := 1

.PHONY: help install install-dev demo run test chaos bench fuzz lint schema format clean clean-data

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20

install: .venv/.installed ## Virtual environment with what the project runs on

install-dev: .venv/.installed-dev

demo: .venv/.installed ## Run an example graph through a real worker (DEMO=file)
	@$(BIN)/python manage.py demo $(if $(DEMO),"$(DEMO)")

run: .venv/.installed ## Web, workers, beat and Flower until Ctrl-C
	@exec $(BIN)/python manage.py stack

test: .venv/.installed-dev ## The whole test suite (ARGS="-k name", PROCESSES=0 for one after the other)
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(ARGS)

chaos: .venv/.installed-dev ## Kill processes while runs go on; nothing may be lost (CHAOS_SECONDS=180, CHAOS_SEED=…)
	@$(BIN)/python -m tests.chaos

bench: .venv/.installed-dev ## Measure beside other engines (BENCH=quick, BENCH=hop, ARGS="--repeats 9")
	@$(BIN)/python -m bench $(BENCH) $(ARGS)

fuzz: .venv/.installed-dev ## Send the API many requests that its schema allows, and some that it doesn't (API_EXAMPLES=100)
	@API_EXAMPLES=$(or $(API_EXAMPLES),100) $(BIN)/python -m pytest tests/config/test_schema_attack.py $(ARGS)

lint: .venv/.installed-dev ## Style, types, layers, migrations, deployment settings
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn | diff docs/openapi.yaml - \
		|| { echo "docs/openapi.yaml is not what the code says: make schema" >&2; exit 1; }
	@DJANGO_HTTPS=true DJANGO_SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

schema: .venv/.installed ## Write docs/openapi.yaml anew: what the API's views and serializers say
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

format: .venv/.installed-dev ## Rewrite the code as the formatter wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Remove the virtual environment and caches, keep the data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: ## Remove all data of the embedded servers
	@rm -rf .local

.venv/.created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed, and none was found (set PYTHON=…)." >&2; exit 1; }
	@rm -rf .venv
	@"$(PYTHON)" -m venv .venv
	@touch $@

.venv/.installed: .venv/.created requirements.txt
	@echo "Installing what the project runs on…"
	@$(PIP) install -r requirements.txt
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@echo "Installing the tools for tests and checks…"
	@$(PIP) install -r requirements-dev.txt
	@touch $@

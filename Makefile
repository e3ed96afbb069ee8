# `make help` lists every target. The two main ones are run and test.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests that run in parallel: two more than cores, because tests spend part of their time waiting for processes.
JOBS ?= $(shell expr 2 + $$(getconf _NPROCESSORS_ONLN))
PACKAGES := heddle scheduler_svc worktree_svc agent_svc ui_svc

# Each stamp is newer than its inputs; touching a pin file renews the environment.
RUN_STAMP := $(VENV)/.run
TEST_STAMP := $(VENV)/.test
BENCH_STAMP := $(VENV)/.bench
MUTANTS_STAMP := $(VENV)/.mutants

# Tests start hundreds of Python programs, which reuse each other's compiled modules.
unexport PYTHONDONTWRITEBYTECODE

include deploy/deploy.mk

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: $(RUN_STAMP) ## Start Heddle, run the sample plan on a sample repository, stay up until Ctrl-C
	@exec $(BIN)/heddle demo

.PHONY: test
test: $(TEST_STAMP) ## Lint, types and every test, the browser tests included
	@$(MAKE) $(TWO_AT_ONCE) $(CHECKS) manifests
	$(BIN)/python -m tests.browser_setup
	$(BIN)/python -m tests.sandbox_setup
	$(BIN)/python -m tests.agents_setup
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal

.PHONY: agents
agents: $(TEST_STAMP) ## Test agents that are too large for `make test`: Gemini CLI, OpenCode, Codex' ACP adapter
	$(BIN)/python -m tests.agents_setup more
	$(BIN)/pytest tests/integration/agents/test_presets.py

.PHONY: unit
unit: $(TEST_STAMP) ## The pure tests only: seconds
	$(BIN)/python -m tests.web_tools
	$(BIN)/pytest tests/unit

# The longest first. Each prints as a whole when it ends.
CHECKS := types web-check lint stale breaking
TWO_AT_ONCE := --no-print-directory --jobs 2 --output-sync=target

.PHONY: check
check: $(TEST_STAMP) ## Lint, types, stale stubs and API compatibility: under a minute
	@$(MAKE) $(TWO_AT_ONCE) $(CHECKS)

.PHONY: lint
lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code

.PHONY: types
types: $(TEST_STAMP)
	$(BIN)/mypy

.PHONY: web-check
web-check: $(TEST_STAMP)
	$(BIN)/python -m tests.web_tools check

.PHONY: web
web: $(TEST_STAMP) ## Build the browser code: ui_svc/web/src to the committed ui_svc/web/dist
	$(BIN)/python -m tests.web_tools build

.PHONY: format
format: $(TEST_STAMP) ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format --write
	$(BIN)/python -m tests.web_tools format

PROTOS := $(wildcard protos/heddle/v1/*.proto)

.PHONY: proto
proto: $(TEST_STAMP) ## Regenerate heddle/v1 from protos/
	$(BIN)/python -m tests.generate_stubs heddle/v1

.PHONY: stale
stale: $(TEST_STAMP)
	$(BIN)/python -m tests.generate_stubs --check heddle/v1

API_BASELINE := protos/baseline.binpb

.PHONY: breaking
breaking: $(TEST_STAMP)
	@$(BIN)/buf breaking --against $(API_BASELINE) \
		|| { echo "The API breaks its clients. If that is intended, see CONTRIBUTING.md." >&2; exit 1; }

.PHONY: api-baseline
api-baseline: $(TEST_STAMP) ## Record the API that later changes must not break
	$(BIN)/buf build --exclude-source-info --output $(API_BASELINE)

.PHONY: bench
bench: $(BENCH_STAMP) ## Measure speed next to the alternatives; prints ratios
	$(BIN)/python -m tests.bench

.PHONY: mutants
mutants: $(MUTANTS_STAMP) ## Change the pure modules and name the changes that no test notices: make mutants MODULES="heddle/plan"
	$(BIN)/python -m tests.agents_setup
	$(BIN)/python -m tests.mutants $(MODULES)

.PHONY: kubernetes
kubernetes: $(TEST_STAMP) ## Run the tests of the pool on Kubernetes against the cluster of KUBECONFIG, in a namespace that they remove
	@if test -n "$$KUBECONFIG"; then HEDDLE_TEST_KUBERNETES=1 $(BIN)/pytest tests/integration/pools; \
		else echo "Skipped: set KUBECONFIG to a file whose user may create namespaces. Without a cluster, make test runs them on a mock."; fi

.PHONY: chaos
chaos: $(TEST_STAMP) ## Kill the services at random while agents work: make chaos SEED=1 MINUTES=10
	$(BIN)/python -m tests.chaos.soak $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),2) $(if $(POSTGRES),--postgres)

.PHONY: fleet-chaos
fleet-chaos: $(TEST_STAMP) ## The same to three workers and three schedulers: make fleet-chaos SEED=1 MINUTES=10
	$(BIN)/python -m tests.chaos.fleet_soak $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),2)

.PHONY: wide-fleet
wide-fleet: $(TEST_STAMP) ## Simulate 20,000 epics on 2,000 places that fail: make wide-fleet SEED=1 PODS=1
	$(BIN)/python -m tests.chaos.wide_fleet $(if $(SEED),--seed $(SEED)) $(if $(PODS),--pods)

.PHONY: screenshots
screenshots: $(TEST_STAMP) ## Take screenshots of every view in its states: make screenshots ONLY="board costs"
	$(BIN)/python -m tests.browser_setup
	$(BIN)/python -m tests.screenshots $(if $(ONLY),--only $(ONLY))

.PHONY: pins
pins: $(TEST_STAMP) ## Renew requirements/*.txt from the ranges in pyproject.toml
	$(BIN)/pip install --quiet 'uv>=0.9,<1'
	$(call compile,run.txt,)
	$(call compile,image.txt,--extra kubernetes --constraints requirements/run.txt)
	$(call compile,test.txt,--group dev)
	$(call compile,bench.txt,--group dev --group bench)
	$(call compile,mutants.txt,--group dev --group mutants)
	$(call compile,agents.txt,--extra claude --extra acp --constraints requirements/test.txt)

define compile
$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	--extra postgres $(2) pyproject.toml --output-file requirements/$(1)
endef

.PHONY: clean
clean: ## Remove what make created in this folder
	rm -rf $(VENV) ui_svc/web/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .mutants

# $(1): the pin file. The pins are complete, so installing the project adds no dependency.
define install
@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "Heddle needs Python 3.11 or newer; name one with: make PYTHON=python3.12" >&2; exit 1; }
@test -x $(BIN)/python || { echo "Making $(VENV) …"; $(PYTHON) -m venv $(VENV); }
@echo "Installing requirements/$(1) …"
@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/$(1)
@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
@touch $@
endef

$(RUN_STAMP): requirements/run.txt pyproject.toml
	$(call install,run.txt)

$(TEST_STAMP): requirements/test.txt pyproject.toml
	$(call install,test.txt)
	@touch $(RUN_STAMP)

$(BENCH_STAMP): requirements/bench.txt pyproject.toml
	$(call install,bench.txt)
	@touch $(RUN_STAMP) $(TEST_STAMP)

$(MUTANTS_STAMP): requirements/mutants.txt pyproject.toml
	$(call install,mutants.txt)
	@touch $(RUN_STAMP) $(TEST_STAMP)

# Every target installs what it needs. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
RUN = PYTHONPATH=operator:service:. .venv/bin/python

.PHONY: help demo test quick faults scan bench-operator bench-operator-growth bench-operator-soak bench-service lint generate golden lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: .venv ## Bare machine → cluster → operator → a Ready ProductionService → traffic
	@$(RUN) -m e2e.demo

test: .venv ## Everything that has to hold; says at the end what ran on what
	@$(RUN) -m e2e.suite

quick: .venv ## Lint, types, contracts and unit tests: no cluster, some three minutes
	@$(RUN) -m e2e.suite --quick

faults: .venv ## Every fault between the operator and a real API server; writes docs/faults.md
	@$(RUN) -m e2e.faults

scan: .venv ## Other people's scanners over every golden rendering; exceptions in e2e/scan/exceptions.yaml
	@$(RUN) -m e2e.scan

bench-operator: .venv ## The operator's speed and size on a real API server; writes docs/performance.md
	@$(RUN) -m benchmarks.operator --write

bench-operator-growth: .venv ## Cost of a service, from 100 to 5,000 of them; writes docs/performance.md
	@$(RUN) -m benchmarks.operator.growth --write

bench-operator-soak: .venv ## Fifty minutes of churn: does memory stay? Writes docs/performance.md
	@$(RUN) -m benchmarks.operator.soak --write

bench-service: .venv ## What production costs a request, overload, replacements, hostile clients, dependencies that fail; writes docs/performance.md
	@for part in tax overload drain rollouts hostile faults cache; do $(RUN) -m benchmarks.service $$part --write; done

lint: .venv ## ruff, mypy, import contracts
	@$(RUN) -m e2e.suite --only lint

generate: .venv ## Rewrite what is generated: CRD, chart copy, RBAC, reference
	@$(RUN) -m productionservice.cli generate

golden: .venv ## Rewrite the golden renderings; read the diff before you commit it
	@$(RUN) -m pytest -q tests/operator tests/chart --update-golden

lock: .venv ## Solve the hash-pinned locks again from pyproject.toml
	@./bootstrap lock

clean: ## Take down every cluster and remove images, caches and the environment
	@./bootstrap clean

# The environment is keyed by its lock and lives in the cache; .venv is a link to it.
.venv: requirements/dev.txt bootstrap
	@./bootstrap venv

# Every target does the set-up it needs; on a set-up tree that costs half a second.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ENTER := . scripts/env.sh &&
CLOUD ?=
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2
BENCH_ARGS ?=

# Tests and demonstration talk to themselves only, never to a robot on the same network.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST

.PHONY: help setup demo test lint types tests bench bench-gpu format clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## Install everything into .venv and build the ROS interfaces (done by every other target)
	@scripts/setup.sh

demo: setup ## Segment objects of a generated scene through the node; CLOUD=path takes your own cloud
	@$(ENTER) python -m pointsam_ros.demo $(if $(CLOUD),--cloud "$(CLOUD)")

test: ## Lint, types and tests; PYTEST_ARGS="-m 'not slow'" narrows them, TEST_PROCESSES=4 is for more cores
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory tests

lint: setup ## Check style and format
	@$(ENTER) ruff check && ruff format --check

types: setup ## Check types
	@$(ENTER) mypy

tests: setup ## Run the tests only
	@$(ENTER) OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
	python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

bench: setup ## Measure speed beside the published way
	@$(ENTER) python -m benchmarks.speed.run $(BENCH_ARGS)

bench-gpu: setup ## Check and time kernels, network and node on this machine's GPU
	@$(ENTER) python -m benchmarks.speed.gpu $(BENCH_ARGS)

format: setup ## Rewrite the sources in the project's format
	@$(ENTER) ruff check --fix && ruff format

clean: ## Remove everything that set-up and tests have made, .venv too
	rm -rf .venv build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

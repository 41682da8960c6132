# The commands of a checkout. `make help` lists them; requirements/ says what they install.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin
# Each file in one worker; those that take long, which are named first, begin first.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what the checkout needs (Debian packages, .venv)
	@scripts/setup

.PHONY: unit
unit: setup ## Unit tests (seconds)
	$(PY)/pytest tests/unit

.PHONY: integration
integration: setup ## Each module against real servers on loopback
	$(PY)/pytest $(PARALLEL) tests/integration

.PHONY: pin
pin: ## Write requirements/dev.txt anew from requirements/dev.in
	rm -rf .cache/pin && python3 -m venv .cache/pin && .cache/pin/bin/pip install -q -r requirements/dev.in
	.cache/pin/bin/pip freeze > requirements/dev.txt

.PHONY: demo
demo: setup ## Build the cluster, deploy three releases of the demo application, show what happened
	@$(PY)/python scripts/demo

.PHONY: clean
clean: ## Remove the demo, the clusters and what tests left (not .venv, not the cached image)
	@for state in .cache/bed/*/state.json; do \
	  [ ! -e "$$state" ] || molecule/bed/bed down --name "$$(basename "$$(dirname "$$state")")"; done
	rm -rf .demo dist docs/_build

.PHONY: lint
lint: setup ## All checkers
	@scripts/lint

.PHONY: sanity
sanity: setup ## ansible-test sanity
	@scripts/sanity

.PHONY: e2e
e2e: setup ## Deploys, also those that take longest
	$(PY)/pytest $(PARALLEL) tests/e2e tests/integration/deploy

.PHONY: faults
faults: setup ## Cut a deploy at every task boundary, and all other faults, on two clusters at once (two hours)
	LAMP_FAULTS=all $(PY)/pytest -n 2 --dist load --maxschedchunk 1 tests/e2e/test_faults.py

.PHONY: molecule
molecule: setup ## The molecule scenarios
	PATH="$$PWD/.venv/bin:$$PATH" molecule test --all

.PHONY: bench
bench: setup ## Benchmarks against peers, into docs/benchmarks.md and README; ROOMS="dbdeploy ..." for some
	$(PY)/python -m tests.benchmark $(ROOMS)

.PHONY: matrix
matrix: setup ## Tests with other versions of Ansible, Python, PyMySQL, PHP, Debian; WITH="newest ..." for some
	@$(PY)/python scripts/matrix $(WITH)

.PHONY: screenshots
screenshots: setup ## The pictures in docs/images, by chromium; REPORT=file for another report than the demo's
	@$(PY)/python scripts/screenshots $(REPORT)

.PHONY: docs
docs: setup ## The documentation site, in docs/_build/html
	@scripts/docs
	@echo "docs: docs/_build/html/index.html"

.PHONY: dist
dist: setup ## Build the collection's tarball in dist/
	$(PY)/ansible-galaxy collection build --force --output-path dist

.PHONY: test
test: setup ## Checkers, molecule, all tests but the longest deploys (see e2e, faults)
	@scripts/test

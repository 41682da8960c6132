# The commands of a checkout. `make help` lists them; requirements/ says what they install.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what the checkout needs (Debian packages, .venv)
	@scripts/setup

.PHONY: unit
unit: setup ## Unit tests (seconds)
	$(PY)/pytest tests/unit

.PHONY: integration
integration: setup ## Each module against real servers on loopback
	$(PY)/pytest tests/integration

.PHONY: pin
pin: ## Write requirements/dev.txt anew from requirements/dev.in
	rm -rf .cache/pin && python3 -m venv .cache/pin && .cache/pin/bin/pip install -q -r requirements/dev.in
	.cache/pin/bin/pip freeze > requirements/dev.txt

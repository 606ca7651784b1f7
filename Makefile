# The table of contents of the work: `make help` prints it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Tests wait about as long as they compute, so that one more than there are cores keeps these busy.
WORKERS = -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4
.PHONY: help run demo hub train-env test test-all bench lint format build lock docs clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: workspace ## open the workspace: JupyterLab, a service, a model
	@.venv/bin/llmws up --train-env

demo: workspace ## the main job on the terminal: chat, compare, fine-tune, serve, ask again
	@.venv/bin/llmws demo

hub: ## JupyterHub for a team: accounts, a server for each person, one service
	@scripts/environment requirements-hub.lock
	@.venv/bin/llmws hub

train-env: workspace ## install the training environment now, and wait for it
	@.venv/bin/llmws train-env

test: lint node_modules/.ready ## lint, unit, contract, browser and notebook tests (below 10 minutes)
	@scripts/browser
	@.venv/bin/pytest -m "not long" $(WORKERS) $(PYTEST)

test-all: testing node_modules/.ready train-env ## the long tests: real training, faults, many kills (below 50 minutes)
	@scripts/browser
	@scripts/postgresql >/dev/null
	@scripts/tls
	@.venv/bin/pytest -m long --timeout 1800 $(WORKERS) $(PYTEST)

bench: testing train-env ## the quick benches, each beside its peer
	@scripts/browser
	@for bench in bench/[a-z]*.py; do echo "$$bench" && .venv/bin/python "$$bench" --quick || exit 1; done

lint: testing node_modules/.ready ## check style and types of Python and JavaScript
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/npm run --silent lint

format: testing node_modules/.ready ## mend style where a tool can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .
	@.venv/bin/npm run --silent format

build: testing node_modules/.ready ## bundle the pages' JavaScript, and give the hub's pages their look
	@.venv/bin/npm run --silent build
	@.venv/bin/python scripts/look

lock: testing ## resolve the lock files anew
	@scripts/lock

docs: testing ## write what the docs take from the code
	@.venv/bin/python scripts/docs

clean: ## remove what was installed and built here
	@rm -rf .venv .venv-train node_modules dist

.PHONY: workspace testing
workspace:
	@scripts/environment requirements.lock

testing:
	@scripts/environment requirements-test.lock

# Not `npm ci`: it refuses where an index lacks the optional packages of other platforms. The lock rules all the same.
node_modules/.ready: package-lock.json package.json | testing
	@.venv/bin/npm install --no-save --silent --no-audit --no-fund
	@touch $@

# Everything a person types. `make help` lists it. Nothing here needs more than git, Python 3.11+ and make,
# except `test-clients` and `bench-fanout`, which need Node, and `test-browser`, which needs Chromium.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 4
EXAMPLES ?= 500

.DEFAULT_GOAL := help

help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.installed ## set everything up and run DeviceHub with servers of its own
	@$(BIN)/python -m devicehub

# Some hundred processes are started by the tests; each would compile anew what an earlier one may keep for it.
test cover fuzz: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.installed-dev ## set everything up and run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

cover: $(VENV)/.installed-dev ## run the tests and report branch coverage; below 90 % fails
	$(BIN)/python -m coverage erase
	COVERAGE_PROCESS_START="$(CURDIR)/pyproject.toml" $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --fail-under 90

test-clients: $(VENV)/.installed-dev ## drive a running server with the official JavaScript clients and newman (needs Node)
	@command -v npm >/dev/null || { echo "This needs Node.js 18 or newer, with npm."; exit 1; }
	cd tests/clients && npm ci --no-audit --no-fund --loglevel=error
	$(BIN)/python -m pytest -p no:cacheprovider tests/clients $(ARGS)

test-browser: $(VENV)/.installed-browser ## watch the live page and the console in a real browser (needs Chromium)
	$(BIN)/python -m pytest -p no:cacheprovider tests/browser $(ARGS)

fuzz: $(VENV)/.installed-dev ## fuzz a running server for some minutes (EXAMPLES=500 an operation, others each time)
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/fuzz -n $(WORKERS) --timeout 0 $(ARGS)

bench: $(VENV)/.installed-dev ## measure side by side, print figures
	$(BIN)/python -m tests.bench

bench-presence: $(VENV)/.installed-dev ## presence under fire: 10 000 devices, storms, killed servers (MINUTES=5, ONLY=)
	$(BIN)/python -m tests.bench_presence

bench-fanout: $(VENV)/.installed-dev ## measure live events beside plain Flask-SocketIO and Node (needs Node)
	@command -v npm >/dev/null || { echo "This needs Node.js 18 or newer, with npm."; exit 1; }
	cd tests/clients && npm ci --no-audit --no-fund --loglevel=error
	$(BIN)/python -m tests.bench_fanout

bench-analytics: $(VENV)/.installed-dev ## measure analytics over a million logs, and taking logs in (LOGS=, SECONDS=60, ONLY=)
	$(BIN)/python -m tests.bench_analytics

bench-exports: $(VENV)/.installed-dev ## measure exports of a million logs, and what ends them (LOGS=)
	$(BIN)/python -m tests.bench_exports

bench-memory: $(VENV)/.installed-dev ## measure what `make run` takes when nothing happens
	$(BIN)/python -m tests.bench_memory

lint: $(VENV)/.installed-dev ## check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## mend the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

postman: $(VENV)/.installed-dev ## make the Postman collection from the OpenAPI document
	$(BIN)/python -m devicehub.cli postman postman/devicehub.postman_collection.json

lock: ## pin every requirement with its hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras -q requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras -q requirements-dev.in -o requirements-dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras -q requirements-browser.in -o requirements-browser.txt

clean: ## remove what was made here, your data in var/ not
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage* tests/clients/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.txt pyproject.toml
	@echo "Setting up Python packages in $(VENV) (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-browser: requirements-browser.txt $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.txt
	@touch $@

.PHONY: help run test cover test-clients test-browser fuzz bench bench-presence bench-fanout bench-analytics bench-exports bench-memory lint format postman lock clean

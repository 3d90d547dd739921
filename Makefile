# make run | test | test-all | lint | types | fmt | bench | screenshots: each sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
# A pair of PostgreSQL servers for each process.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadgroup
REST := fault or browser or slow or spark

.PHONY: run test test-rest test-all nightly spark sentences lint types fmt bench screenshots
.PHONY: advisories clean
.DEFAULT_GOAL := test

.venv/run: requirements.txt requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c requirements.lock
	touch $@

.venv/dev: requirements.txt requirements-dev.txt requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c requirements.lock
	touch .venv/run $@

.venv/spark: .venv/dev requirements-spark.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-spark.txt -c requirements.lock
	touch $@

run: .venv/run
	$(BIN)/python -m streamlit run streamlit_app.py

# Lint, types, and the tests that take minutes together: databases, workbook, one browser walk.
test: lint types
	$(PYTEST) -m "not ($(REST))"

# What `make test` leaves out: fault injection, every browser test, slow ones, Spark.
test-rest: .venv/dev
	$(PYTEST) -m "$(REST)"

test-all: test
	$(MAKE) test-rest

# Property tests with thousands of examples, then runs with a fault drawn at random.
nightly: .venv/dev
	HYPOTHESIS_PROFILE=nightly $(PYTEST) --timeout 0 -m hypothesis
	$(BIN)/python -m tests.support.soak

# The Spark engine, on a cluster of its own on this machine; needs Java 17.
spark: .venv/spark
	$(BIN)/python -m pytest -m spark

# Write every message of the sources to the golden file that the tests hold them against.
sentences: .venv/dev
	$(BIN)/python -m tests.support.messages
	git diff --stat -- tests/product/sentences.txt

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports

types: .venv/dev
	$(BIN)/mypy

fmt: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev
	$(BIN)/python -m benchmarks.report --rows 100000

screenshots: .venv/dev
	$(BIN)/python -m tests.browser.screenshots

# Known advisories against the locked versions; fails where one could not be looked up.
advisories: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict -r requirements.lock --no-deps --disable-pip

clean:
	rm -rf .venv .demo

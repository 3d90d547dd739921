# make run | test | spark | lint | types | fmt | bench | screenshots: each sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test spark lint types fmt bench screenshots nightly advisories clean
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

test: lint types
	$(BIN)/python -m pytest -n auto --dist loadgroup

# The Spark engine, on a cluster of its own on this machine; needs Java 17.
spark: .venv/spark
	$(BIN)/python -m pytest tests/engines/test_spark.py

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

nightly: .venv/dev
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n auto tests/matching/test_matching_property.py

# Known advisories against the locked versions; fails where one could not be looked up.
advisories: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict -r requirements.lock --no-deps --disable-pip

clean:
	rm -rf .venv .demo

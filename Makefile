# make run | test | test-all | lint | types | fmt | bench | screenshots: each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A pair of PostgreSQL servers for each process.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadgroup
REST := fault or browser or slow or spark

.PHONY: run test test-rest test-all nightly spark sentences documents lint types fmt bench screenshots
.PHONY: lock advisories versions image secrets clean
.DEFAULT_GOAL := test

# uv where it is installed, pip otherwise; both check the hashes of the locks.
UV := $(shell command -v uv)
ifdef UV
CREATE := uv venv --quiet --python $(PYTHON) $(VENV)
INSTALL := uv pip install --quiet --python $(BIN)/python
else
CREATE := $(PYTHON) -m venv $(VENV)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif
LOCKED := $(INSTALL) --require-hashes

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
		echo "$(PYTHON) is not Python 3.11 to 3.14: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	$(CREATE)

$(VENV)/run: requirements.lock | $(BIN)/python
	$(LOCKED) -r requirements.lock
	touch $@

$(VENV)/dev: requirements-dev.lock | $(BIN)/python
	$(LOCKED) -r requirements-dev.lock
	touch $(VENV)/run $@

$(VENV)/spark: $(VENV)/dev requirements-spark.lock
	$(LOCKED) -r requirements-spark.lock
	touch $@

run: $(VENV)/run
	$(BIN)/python aggregator.py dashboard $(if $(PORT),--port $(PORT))

# Lint, types, and the tests that take minutes together: databases, workbook, one browser walk.
test: lint types
	$(PYTEST) -m "not ($(REST))"

# The tests that `make test` leaves out: fault injection, every browser test, slow ones, Spark.
test-rest: $(VENV)/dev
	$(PYTEST) -m "$(REST)"

test-all: test
	$(MAKE) test-rest

# Property tests with thousands of examples, then runs with a fault drawn at random.
nightly: $(VENV)/dev
	HYPOTHESIS_PROFILE=nightly $(PYTEST) --timeout 0 -m hypothesis
	$(BIN)/python -m tests.support.soak

# The Spark engine, on a cluster of its own on this machine; needs Java 17.
spark: $(VENV)/spark
	$(BIN)/python -m pytest -m spark

# Write the keys of the configuration, as the settings describe them, to docs/configuration.md.
documents: $(VENV)/dev
	$(BIN)/python -m tests.support.configuration_document

# Write every message of the sources to the golden file that the tests hold them against.
sentences: $(VENV)/dev
	$(BIN)/python -m tests.support.messages
	git diff --stat -- tests/product/sentences.txt

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports

types: $(VENV)/dev
	$(BIN)/mypy

fmt: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev
	$(BIN)/python -m benchmarks.report --rows 100000

screenshots: $(VENV)/dev
	$(BIN)/python -m tests.browser.screenshots

# Write the requirements of pyproject.toml to requirements*.txt, and to requirements*.lock the exact
# versions of all packages for every system and Python, with the hashes of their files. Versions that
# still fit stay; `make lock UPGRADE=--upgrade` takes the newest.
COMPILE = $(or $(UV),$(BIN)/uv) pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url
lock: | $(BIN)/python
	$(if $(UV),,$(INSTALL) uv)
	$(BIN)/python -m tests.support.requirements
	$(COMPILE) $(UPGRADE) -o requirements-dev.lock requirements-dev.txt
	for name in requirements requirements-remote requirements-spark; do \
		$(COMPILE) -c requirements-dev.lock -o $$name.lock $$name.txt || exit 1; done

# Python 3.11 to 3.14: wheels of every package for Linux, macOS and Windows, types, and `make test`
# with each interpreter that is here.
versions: $(VENV)/dev
	$(if $(UV),,$(INSTALL) uv)
	$(BIN)/python -m tests.support.versions $(or $(UV),$(BIN)/uv)

# Build the image, start it, ask its health, and make and verify the demonstration's report in it.
# Podman, buildah or docker: `make image BUILDER=buildah BASE=localhost/python:3.13`. What only the
# build needs, such as the settings of a package mirror: `BUILD_ARGS="--volume ..."`.
BUILDER ?= $(or $(shell command -v podman),$(shell command -v buildah),docker)
BASE ?= docker.io/library/python:3.13-slim
IMAGE ?= marketing-data-aggregator
# OCI's format, the default of podman and buildah, has no health check.
image:
	$(BUILDER) build $(if $(findstring docker,$(BUILDER)),,--format=docker) --build-arg BASE=$(BASE) \
		$(BUILD_ARGS) --tag $(IMAGE) --file Containerfile .
	$(PYTHON) -m tests.support.image $(BUILDER) $(IMAGE)

# Random passwords for compose.yaml. Containers read them, and the folder is this account's alone.
secrets: .secrets/admin_password .secrets/aggregator_password

.secrets/%:
	mkdir -p -m 0700 .secrets
	$(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(24))' > $@
	chmod 0444 $@

# Known advisories against the locked versions; fails where one could not be looked up.
advisories: $(VENV)/dev
	$(INSTALL) pip-audit
	for file in requirements*.lock; do $(BIN)/pip-audit --strict -r $$file --no-deps --disable-pip || exit 1; done

clean:
	rm -rf .venv .demo

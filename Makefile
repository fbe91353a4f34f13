# Everything sets itself up: `make demo` and `make test` work on a fresh Linux machine with Python 3.11+ and make.

PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: demo test check clean

demo: .venv/installed
	test -f $(RUN)/run.toml || $(BIN)/clade init $(RUN)
	$(BIN)/clade run $(RUN)
	$(BIN)/clade tree $(RUN)
	$(BIN)/clade best $(RUN)

test: .venv/tested
	$(BIN)/pytest

check: .venv/tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Clade needs Python 3.11 or newer"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# `make demo` and `make test` set everything up in .venv on a machine with Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo docs test quick test-slow lint types clean

# What a plain run needs, no more: the first picture is minutes earlier.
demo: .venv/plain
	$(BIN)/python -m ilo_jax.solve

# The type checker keeps one core busy, beside the tests.
test: lint
	$(MAKE) --no-print-directory --jobs 2 types quick

quick: .venv/installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Once more what is quick, with all programs compiled as users have them; then what takes minutes.
test-slow: .venv/installed-slow
	ILO_JAX_TESTS_AS_USERS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m slow

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/basedpyright

.venv/plain: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed: .venv/plain
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# What only slow tests need: large packages.
.venv/installed-slow: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[slow]'
	touch $@

clean:
	rm -rf .venv

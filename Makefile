# make demo   set up, then run the example flow through an Airflow of its own
# make test   set up, then run every test
# make check  the house rules: format, lint, types, layers
# make fast   the tests that start no whole Airflow
# make bench  the paired benchmarks; see docs/benchmarks.md

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check fast bench

$(VENV)/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,check]'
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	touch $@

demo: $(VENV)/.installed
	$(BIN)/airloom sandbox examples/04_penguins/penguins_flow.py $(ARGS)

# In two parts: small tests, then those that start whole programs, where one Airflow serves all that need it.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m "not whole" $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m whole $(ARGS)

fast: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m "not whole" $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check provider dag_templates examples benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(ARGS)

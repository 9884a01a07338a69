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

# In two parts: the first side by side, the second around one whole Airflow.
WHOLE = airflow or system or store or aws or browser or slow or docker

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m "not ($(WHOLE))" $(ARGS)
	$(BIN)/python -m pytest -m "$(WHOLE)" $(ARGS)

fast: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m "not ($(WHOLE))" $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check provider dag_templates examples benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(ARGS)

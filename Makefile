# make demo   set up, then run the example flow through an Airflow of its own
# make test   set up, then run every test
# make check  the house rules: format, lint, types, layers
# make fast   the tests that start no whole Airflow
# make bench  the paired benchmarks; see docs/benchmarks.md
# make compat a lean part of the tests with the oldest Airflow; see docs/compatibility.md
# make docs   the documentation as a site, below build/site

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check fast bench compat docs

$(VENV)/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,check]'
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	touch $@

demo: $(VENV)/.installed
	$(BIN)/airloom sandbox examples/04_penguins/penguins_flow.py $(ARGS)

# In two parts: small tests, then those that start whole programs, file by file, where one Airflow serves all of a process that need it.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m "not whole" $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m whole $(ARGS)

fast: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m "not whole" $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check provider dag_templates examples benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(ARGS)

# With an Airflow of its own; that one warns of imports that its providers still do.
OLDEST ?= .venv.oldest
LEAN = tests/operators tests/hooks tests/decorators tests/xcom tests/compiler/test_golden.py tests/compiler/test_dagfile.py tests/test_packaging.py tests/system/test_deploys.py tests/system/test_hand_written.py tests/system/test_shapes.py tests/system/test_starts.py

$(OLDEST)/.installed: setup.cfg tests/compat/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet -c tests/compat/oldest.txt -e '.[test]'
	env -u PYTHONDONTWRITEBYTECODE $(OLDEST)/bin/python -m compileall -q -j 0 $(OLDEST)/lib || true
	touch $@

compat: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest -W default $(LEAN) $(ARGS)

docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -q -n -W --keep-going -c docs -d build/doctrees . build/site

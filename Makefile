# Two commands for a fresh clone: `make demo` and `make test`. Everything they install goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test benchmark clean

demo: .venv/demo
	$(BIN)/python examples/pentagon_to_digon.py --out out

test: .venv/test
	$(BIN)/python -m pytest -n 2 --dist loadfile

benchmark: .venv/demo
	$(BIN)/python tests/benchmark/exact_loss.py

.venv/demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/test: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e ".[test,dask]"
	touch $@ .venv/demo

clean:
	rm -rf .venv build *.egg-info .pytest_cache .hypothesis out

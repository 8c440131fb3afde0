# For a fresh clone: `make demo`, `make test`, `make book` (out/book.html), and `make benchmark`, which
# has an environment of its own for the rivals.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-oldest test-newest lint book benchmark clean

demo: .venv/demo
	$(BIN)/python examples/pentagon_to_digon.py --out out

# The suite starts some hundred interpreters: compiled, the package is there sooner. Of three workers
# on two cores one mostly waits, for a browser or a process; each has one thread of BLAS.
test: .venv/test lint
	$(BIN)/python -m compileall -q toymodels_np
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The suite with the oldest and with the newest versions, each in an environment of its own.
test-oldest test-newest: test-%: .venv-%/ready
	.venv-$*/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

.venv-%/ready: constraints-%.txt setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet -c $< \
		-e ".[test,dask,certify,learn,book,notebook,explorer,browser]"
	touch $@

lint: .venv/test
	$(BIN)/ruff check toymodels_np tests examples setup.py

book: .venv/test
	$(BIN)/python -m toymodels_np book --out out

benchmark: .venv-benchmark/ready
	.venv-benchmark/bin/python tests/benchmark/training.py
	.venv-benchmark/bin/python tests/benchmark/race.py

.venv/demo: setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/test: setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e ".[test,dask,certify,learn,book,notebook,explorer,browser]"
	touch $@ .venv/demo

.venv-benchmark/ready: setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv .venv-benchmark
	.venv-benchmark/bin/python -m pip install --quiet -e . torch==2.13.0 jax
	touch $@

clean:
	rm -rf .venv .venv-benchmark .venv-oldest .venv-newest build *.egg-info .pytest_cache .ruff_cache .hypothesis out

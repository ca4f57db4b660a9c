# Everything sets itself up on a fresh Debian 12: the two commands are `make demo` and `make test`.
PY = .venv/bin/python

.PHONY: demo test unit lint bench docs env clean deb

demo: env
	@$(PY) -m lab.demo

# Several at once, a file to each, must agree on the tests' names: hence the seed. In their order:
# Postfix's, which take longest, come first.
PYTEST = PYTHONHASHSEED=0 $(PY) -m pytest --dist loadfile --no-loadscope-reorder

# Three at once, as most of them wait for Postfix.
test: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PYTEST) -n 3

# The ring that needs no Postfix, one for each core: run it all the time.
unit: env
	$(PYTEST) -n auto tests/unit

lint: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: env
	$(PY) -m bench.run

docs: env
	$(PY) docs/generate.py

env:
	@./bootstrap

clean:
	rm -rf .venv build dist src/*.egg-info

# A Debian package with its own virtual environment: dist/pointsman_*.deb.
deb: env
	@packaging/build

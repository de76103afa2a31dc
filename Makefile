# `make demo` and `make test` need nothing but Python 3.11 or newer: they make .venv from the pinned packages first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check coverage benchmarks soak pins sbom clean

demo: .venv/installed
	$(BIN)/python jobs/train.py

test: check
	$(BIN)/python -m pytest

check: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

# The lines of each file that no test runs. Of the tests that neither use Ray nor start a job: what runs in another process is
# not counted. Apart from `make test`: counting lines takes half as much CPU time again (43 s of tests became 67), minutes of a
# suite of sixteen.
coverage: .venv/tested
	$(BIN)/python -m pytest -m "not ray" --ignore=tests/jobs --ignore=tests/faults --ignore=tests/benchmarks \
		--cov=fashion --cov=cluster --cov=jobs --cov-report=term-missing:skip-covered

# The README's table: `make benchmarks PHOTOS=folder`, a folder in DeepFashion's consumer-to-shop layout. Without it those
# rows are measured that want no photos, and the README stays as it is.
benchmarks: .venv/tested
	$(BIN)/python tests/benchmarks/all.py $(if $(PHOTOS),--photos $(PHOTOS) --write)

# All jobs in a loop, killed and with failing storage; prints what was injected, and ends with 1 where anything was lost.
MINUTES ?= 30
soak: .venv/tested
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

# uv links packages from its cache instead of copying 6 GB. Compiled here, once: where PYTHONDONTWRITEBYTECODE is set, every
# process of Ray would compile torch anew. The stamp is last, so a broken installation is made again.
.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode -r requirements.txt
	$(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@

.venv/tested: .venv/installed tests/requirements.txt
	$(BIN)/uv pip install --quiet --compile-bytecode -r tests/requirements.txt
	touch $@

# What is pinned, with hashes: requirements.txt is what a cluster installs, tests/requirements.txt what tests need besides.
PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml
pins: .venv/installed
	$(PIN) -o requirements.txt
	$(PIN) --extra test -c requirements.txt -o tests/requirements.txt

# The software bill of materials of what a cluster installs (CycloneDX); the image has its own in /fashion/bom.json.
sbom: .venv/installed
	$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment --validate --output-reproducible \
		--pyproject pyproject.toml -o bom.json $(BIN)/python

clean:
	rm -rf .venv runs bom.json

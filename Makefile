# Every target installs what it needs: Python 3.11 or newer with pip, and make, are enough.
PYTHON ?= python3
EXTRAS := audio,cluster,voices,speech-scores,fast,gym,hub,onnx,parquet,serve,video,worlds,tensorboard,docs,dev
# Called by hand: these need a run, data or a name, or train for an hour or more. turns.py is shared.
BY_HAND := earlier invariance joint_training own_pictures own_speech play real_files recipe server sonnet_parity speech_fsdd turns video_demo
BENCHMARKS ?= $(filter-out $(BY_HAND:%=benchmarks/%.py),$(wildcard benchmarks/*.py))
OUT ?= runs/demo
COUNT ?= 1000
EVERY ?= 1
SEED ?= 0
AXE_CORE := 4.14.1
ATHERIS := 3.0.0

BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-browser fuzz fuzz-guided kills check docs bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## .venv with the package (editable) and every extra, at the versions of constraints.txt

# torch comes first and pinned: nothing after it may bring another one.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $(STAMP)

demo: install  ## train, score and sample on rendered 3-D worlds; a few minutes (OUT=runs/demo)
	$(BIN)/vqvae demo --out $(OUT)

test: install  ## the tests, without those of the page in a browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -rs

test-browser: install  ## the tests of the page in Chromium, which it installs where it may
	@tests/serving/browser/tools.sh
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && npm install --silent --no-save --prefix "$$folder" axe-core@$(AXE_CORE) && \
	OMP_NUM_THREADS=1 AXE_CORE="$$folder/node_modules/axe-core/axe.min.js" $(BIN)/pytest -q -rs -m browser tests/serving/browser

fuzz: install  ## fuzzers, COUNT=1000 cases of each kind from SEED=0
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --count $(COUNT) --seed $(SEED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.values_of_runs
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.payloads --seed $(SEED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.containers --seed $(SEED)

fuzz-guided: install  ## compressed files, damaged as guided by coverage (Atheris, in a folder of its own): COUNT=1000 from SEED=0
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	--target "$$folder" atheris==$(ATHERIS) && OMP_NUM_THREADS=1 PYTHONPATH="$$folder" $(BIN)/python -m tests.fuzz.guided \
	--count $(COUNT) --seed $(SEED)

kills: install  ## kills before every change of the file system, EVERY=1 of them
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.kills --every $(EVERY)

check: install docs  ## lint, format, imports, types, and docs without a warning
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/pyrefly check

docs: install  ## docs/_build/html/index.html
	$(BIN)/sphinx-build -W --keep-going --quiet docs docs/_build/html

bench: install  ## time the parts against their peers: benchmarks/, or BENCHMARKS='some of them'
	@set -e; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script; done

clean:  ## remove caches and built documents, but neither .venv nor runs
	rm -rf docs/_build build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

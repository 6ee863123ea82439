# Every target installs what it needs: Python 3.11 or newer, pip and make are enough.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install test check
install: $(STAMP)

# torch comes first and pinned: an unpinned torch would bring gigabytes of GPU libraries.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fast,worlds,tensorboard,dev]'
	touch $(STAMP)

test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

# Needs python3 (3.11 to 3.13) and make; everything else is installed below this folder.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := .tools/bin/uv
TORCH  := 'torch==2.13.0' 'onnxscript>=0.5,<1'
AIRFLOW := 'apache-airflow>=3.1,<4' apache-airflow-providers-standard
ARGS   ?=
# Many tests wait for processes that they start, so two cores bear three of pytest's workers.
WORKERS ?= 3
# Both start many processes, which would each compile what is not compiled where Python is told to write nothing.
COMPILE = $(BIN)/python -m compileall -q src

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1

.PHONY: help demo test coverage check bench torch airflow clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(VENV)/.synced ## the whole loop on real flights (ARGS="--exit --json" to end by itself)
	@$(COMPILE)
	@$(BIN)/octavo demo trips $(ARGS)

test: $(VENV)/.synced-all ## all tests
	@$(COMPILE)
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

coverage: $(VENV)/.synced-all ## all tests, with a report of what they reach, which takes longer
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term $(ARGS)

check: $(VENV)/.synced-all ## format, lint, strict types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.synced-all ## measurements, each a ratio in one run
	@for file in benchmarks/bench_*.py; do PYTHONPATH=. $(BIN)/python $$file || exit 1; done

torch: $(VENV)/.synced-all ## PyTorch for the tests of its models, which are passed over without it (large)
	@.tools/bin/python -m pip --python $(BIN)/python install --quiet --disable-pip-version-check $(TORCH)

airflow: $(UV) ## Airflow, in an environment of its own, for the test of exported DAGs, which is passed over without it
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .airflow
	@$(UV) pip install --quiet --python .airflow/bin/python $(AIRFLOW)

clean: ## remove what make installed
	rm -rf $(VENV) .airflow .tools .coverage .coverage.* htmlcov

$(VENV)/.synced: pyproject.toml uv.lock $(UV)
	@echo "Installing the locked dependencies into $(VENV) ..." >&2
	@$(UV) sync --locked --extra trips --extra redis --python $(PYTHON) >&2
	@touch $@

$(VENV)/.synced-all: pyproject.toml uv.lock $(UV)
	@echo "Installing the locked dependencies of all adapters into $(VENV) ..." >&2
	@$(UV) sync --locked --all-extras --no-extra torch --python $(PYTHON) >&2
	@touch $@ $(VENV)/.synced

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Octavo needs Python 3.11 to 3.13; $(PYTHON) is another. Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing uv into .tools ..." >&2
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

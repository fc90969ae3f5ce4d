# The commands of this repository; README.md has the same without make.
VENV := .venv
GLUE := {{cookiecutter.project_slug}}/packages/lockstep
PYTHON ?= python3
SEED ?= $(shell date +%j)

.PHONY: demo lifecycle orchestrators test test-fast nightly frameworks load image coverage lint clean

demo: $(VENV)/ready ## scaffold a project, train four models, compare
	$(VENV)/bin/python scripts/demo.py

lifecycle: $(VENV)/ready ## a year of a model: drift, alarms, retraining, hot swaps
	$(VENV)/bin/python -m scripts.lifecycle

orchestrators: $(VENV)/ready ## what `lockstep export` writes, run by the real Airflow and Dagster
	$(VENV)/bin/python -m scripts.orchestrators

test: $(VENV)/ready ## the whole suite
	$(VENV)/bin/python -m pytest

test-fast: $(VENV)/ready ## the unit tests, in a few minutes
	$(VENV)/bin/python -m pytest -m unit

nightly: $(VENV)/ready frameworks ## 300 accidents to all kinds of commands, others each day; takes half an hour
	$(VENV)/bin/python -m pytest -n0 -s tests/test_accidents.py --accidents 300 --accident-seed $(SEED)

frameworks: $(VENV)-frameworks/ready ## models of PyTorch, CatBoost, spaCy and others, in an environment of their own
	$(VENV)-frameworks/bin/python -m pytest -n0 --frameworks tests/test_frameworks.py

load: $(VENV)/ready ## lockstep serve under load while 100 champions change; takes some minutes
	$(VENV)/bin/python -m pytest -n0 tests/test_serve_load.py --swaps 100

image: ## build the image in the folder IMAGE, without a daemon, and ask it; as root on Debian, some minutes
	scripts/image.sh "$(IMAGE)"

coverage: $(VENV)/ready ## the same, and what they cover of the glue; takes twice as long
	$(VENV)/bin/python -m pytest -m unit --cov --cov-report=term

lint: $(VENV)/ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	cd '$(GLUE)' && $(CURDIR)/$(VENV)/bin/ruff format --no-cache --check . && $(CURDIR)/$(VENV)/bin/ruff check --no-cache .
	cd '$(GLUE)/src' && PYTHONDONTWRITEBYTECODE=1 $(CURDIR)/$(VENV)/bin/lint-imports --no-logo --no-cache $(CURDIR)/pyproject.toml
	$(VENV)/bin/mypy

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=$(VENV) $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --group dev
	touch $@

# The default build of PyTorch brings CUDA. PIP_FIND_LINKS may name a folder with a wheel of the CPU build.
$(VENV)-frameworks/ready: $(VENV)/ready
	$(VENV)/bin/uv venv --quiet --clear --python $(VENV)/bin/python $(VENV)-frameworks
	VIRTUAL_ENV=$(VENV)-frameworks $(VENV)/bin/uv pip install --quiet --group dev --group frameworks \
		$(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend cpu)
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-frameworks

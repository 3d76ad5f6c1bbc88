# What a fresh machine needs: Python 3.11, 3.12 or 3.13, and make. Everything else is installed into .venv.
#   make run     the quickstart campaign          make check   lint, types, import directions
#   make serve   its champion, over HTTP          make bench   measurements
#   make test    all tests but the soak; with     make soak    hours of load
#                FAST=1 what takes three minutes  make gpu     eight minutes on a GPU

SHELL := /bin/bash
.DEFAULT_GOAL := run
.PHONY: run serve test check bench gpu soak clean setup browser
# Where this is set, as in some containers, every process would compile thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do \
    $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
    && { command -v $$p; break; }; done)
comma := ,
VERSION = -c 'import sys; print(*sys.version_info[:2], sep=".")'
ifeq ($(origin PYTHON),command line)
ifneq ($(MAKECMDGOALS),clean)
ASKED := $(shell $(PYTHON) $(VERSION) 2>/dev/null)
ifeq ($(filter 3.11 3.12 3.13,$(ASKED)),)
$(error PYTHON must be Python 3.11, 3.12 or 3.13, got $(PYTHON)$(if $(ASKED),: $(ASKED),$(comma) which does not run))
endif
ifneq ($(wildcard .venv/bin/python),)
HAS := $(shell .venv/bin/python $(VERSION))
ifneq ($(HAS),$(ASKED))
$(error .venv has Python $(HAS), and $(ASKED) was asked for: make clean first)
endif
endif
endif
endif
SET := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
LOCK := cluster/requirements-$(SET).lock
# Both sets have a package vllm, so that one would be installed over the other.
OTHER := $(patsubst .venv/.locked-%,%,$(filter-out .venv/.locked-$(SET),$(wildcard .venv/.locked-*)))
ifneq ($(OTHER),)
ifneq ($(MAKECMDGOALS),clean)
$(error .venv has the $(OTHER) set, and this machine takes the $(SET) set: make clean first, or SET=$(OTHER))
endif
endif
# An empty value, as from a file of variables, is none.
ifeq ($(strip $(RATCHET_HOME)),)
override RATCHET_HOME := $(CURDIR)/.ratchet
endif
export RATCHET_HOME

PY := .venv/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --no-deps --no-compile -qq
space := $() $()
MODEL := $(subst $(space),\ ,$(RATCHET_HOME))/models/smollm2-135m-instruct/config.json
TORCH_INDEX := https://download.pytorch.org/whl/cpu

run: setup
	$(PY) -m ratchet run configs/quickstart.yaml

serve: setup
	$(PY) -m ratchet serve configs/serve.yaml

# Two at a time; tests/README.md says which.
test: setup browser
	$(PY) -m pytest -m "not soak$(if $(filter-out 0 no false,$(FAST)), and not slow)" --durations=15 \
	    --numprocesses=2 --dist=loadgroup --no-loadscope-reorder

check: .venv/.installed-$(SET)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_architecture.py tests/test_rooms.py

bench: setup
	set -e; for file in tests/bench/bench_*.py; do $(PY) -m "tests.bench.$$(basename "$$file" .py)"; done

# For example make gpu ARGS='--only loop swap'. In an environment of your own: python -m tests.bench.gpu
gpu: setup
	$(PY) -m tests.bench.gpu $(ARGS)

soak: setup
	$(PY) -m pytest -m soak --durations=0

setup: .venv/.installed-$(SET) $(MODEL)

.venv/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { echo "the venv module is needed: on Debian, apt-get install python3-venv" >&2; exit 1; }
	touch $@

# CPU torch is a build of its own (2.13.0+cpu): from the sources that pip is set up with where they
# have it, else from PyTorch's index. Hashes hold for both. After Python 3.11 it is the build of PyPI.
.venv/.locked-$(SET): .venv/.made $(LOCK)
	awk '/^torch==/ {on = 1} on {print; if ($$0 !~ /\\$$/) on = 0}' $(LOCK) > .venv/torch.lock
	@echo 'installing the $(SET) set: several minutes'
	$(PIP) --require-hashes -r .venv/torch.lock \
	    || $(PIP) --require-hashes --index-url $(TORCH_INDEX) -r .venv/torch.lock
	$(PIP) --require-hashes -r $(LOCK)
	touch $@

.venv/.installed-$(SET): .venv/.locked-$(SET) pyproject.toml
	$(PIP) --no-build-isolation -e .
	touch $@

$(MODEL): | .venv/.installed-$(SET)
	$(PY) -m engine.models.base fetch

# For the test that looks at the report.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null \
	    || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	        && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	    || echo "Chromium is needed by tests/engine/report/test_report.py: on Debian and Ubuntu, sudo apt-get install chromium" >&2

# Models, runs and the registry in $(RATCHET_HOME) stay.
clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build ratchet.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

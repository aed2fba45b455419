# Everything CI runs, and what README tells a stranger to run. `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
READY := $(VENV)/.ready
# torch is pinned here alone: the light environment never has it.
TORCH ?= torch==2.13.0
# Likewise Ray, of which the light environment knows nothing.
RAY ?= ray[serve]==2.60.0
# Only a pair of torch and torchvision that were built for each other works; on aarch64 that is
# torch==2.9.1 torchvision==0.24.1.
ULTRALYTICS ?= torch==2.14.1 torchvision==0.29.1 ultralytics==8.4.190 'opencv-python<5'

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format bench stubs constraints clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s:

setup: $(READY) ## install everything pinned, with hashes, into .venv

# Two steps, because pip cannot check the hash of an editable install.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(READY) ## a minute of a simulated street through both tiers; writes demo-report/
	$(BIN)/secondlook demo $(ARGS)

test: $(READY) ## all tests that need no torch; under 10 minutes on 2 cores
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

# An environment beside the light one, with more in it.
define environment
	$(BIN)/python -m venv $(1)
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endef

test-all: $(READY) ## the heavy tests as well: torch, Ray, training, other people's servers, long runs
	$(call environment,$(VENV)-heavy,'$(TORCH)' '$(RAY)')
	$(VENV)-heavy/bin/python -m pytest -m 'heavy and not ultralytics' $(ARGS)
	$(call environment,$(VENV)-ultralytics,$(ULTRALYTICS))
	$(VENV)-ultralytics/bin/python -m pytest -m 'ultralytics' $(ARGS)

check: $(READY) ## format, lint, types, layers; the stubs' freshness is a test of `make test` too
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p secondlook.rpc -p secondlook.oip -p secondlook.shared -p secondlook.edge -p secondlook.cloud -p secondlook.cli
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit/test_stubs.py

format: $(READY) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## the benchmarks, as ratios against a baseline of the same run
	$(BIN)/secondlook bench edge $(ARGS)
	$(BIN)/secondlook bench memory
	$(BIN)/secondlook bench trust
	$(BIN)/secondlook bench prefetch
	for file in tests/bench/bench_*.py; do PYTHONPATH=tests $(BIN)/python $$file || exit 1; done

stubs: $(READY) ## regenerate the committed protobuf stubs
	$(BIN)/python -m grpc_tools.protoc -Iprotos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=protos --grpc_python_out=protos --mypy_out=protos --mypy_grpc_out=protos \
	  $$(cd protos && find secondlook -name '*.proto' | sort)

constraints: ## pin every dependency again, for all supported Pythons and platforms
	test -x $(VENV)-uv/bin/uv || { $(PYTHON) -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install --quiet uv; }
	$(VENV)-uv/bin/uv pip compile pyproject.toml --extra edge --extra cloud --extra otel --extra dev \
	  --universal --python-version 3.10 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --quiet --upgrade -o constraints.txt

clean: ## remove environments, caches and reports
	rm -rf $(VENV) $(VENV)-heavy $(VENV)-ultralytics $(VENV)-uv .venv-mlserver .venv-kserve demo-report dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

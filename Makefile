# Captionbox. `make serve` and `make test` are all you need; both work in a fresh clone.

PYTHON ?= python3
PORT ?= 3000
HOST ?= 127.0.0.1
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help serve image test test-long test-machines programs-all test-slow test-load test-gpu test-deploy bench bench-quick programs docs lint format install lock screenshot clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- environment ------------------------------------------------------------------------------------

$(VENV)/.python:
	@echo "==> creating the virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.serve: requirements.lock deploy/install_torch.py | $(VENV)/.python
	@echo "==> installing (the first time takes some minutes; later starts take seconds)"
	$(BIN)/python deploy/install_torch.py requirements.lock
	$(BIN)/pip install --disable-pip-version-check -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.serve
	@echo "==> installing what the tests need"
	$(BIN)/pip install --disable-pip-version-check -r requirements-dev.lock
	@touch $@

install: $(VENV)/.dev ## everything, tests and linters too, into .venv

# --- use --------------------------------------------------------------------------------------------

serve: $(VENV)/.serve ## caption pictures on http://localhost:3000 (MODEL=florence-2, PORT=…, HOST=0.0.0.0 or ::)
	@served=$$($(BIN)/python -m models ensure $(MODEL)) && \
	  echo "==> $$served" && \
	  exec env $$served $(BIN)/bentoml serve service:Captioner --host $(HOST) --port $(PORT)

image: $(VENV)/.serve ## the container image, default model inside (MODELS=compact,NAME… MATCHER=NAME)
	@$(BIN)/python -m models ensure $(or $(MODELS),compact) $(MATCHER) >/dev/null
	$(BIN)/python -m deploy.image --models "$(or $(MODELS),compact)" --matcher "$(MATCHER)"

# --- check ------------------------------------------------------------------------------------------

# $(call debian,COMMANDS,PACKAGE,WHAT FOR): install a Debian package where none of the commands is there.
define debian
@for one in $(1); do command -v $$one; done | grep -q . || { \
  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
    echo "==> installing $(2) for $(3)"; \
    apt-get update -q && apt-get install -y -q --no-install-recommends $(2); \
  else false; fi; } \
  || echo "==> no $(2) here: $(3) will be skipped" \
  "(as root: make programs; otherwise: sudo apt-get install $(2))"
endef

programs-all: programs ## every program that a test can use, from Debian's packages
	$(call debian,nginx,nginx-light,the tests of nginx and replicas)
	$(call debian,shellcheck,shellcheck,the check of deploy/*.sh)
	$(call debian,docker-compose,docker-compose,the check of compose.yaml)
	$(call debian,curl,curl,the commands of the documentation)
	$(call debian,openssl,openssl,the tests of certificates)
	$(call debian,java,default-jre-headless,METEOR and the official tokeniser)

programs: ## Chromium and exiftool for the tests, from Debian's packages where they are absent
	$(call debian,chromium chromium-browser,chromium,the browser tests)
	$(call debian,exiftool,libimage-exiftool-perl,the tests of captionbox xmp)

test: $(VENV)/.dev programs ## the tests: about ten minutes on two cores
	$(BIN)/python -m pytest -n auto -m "not long and not slow and not load and not gpu and not deploy"

test-long: $(VENV)/.dev programs ## the tests of what seldom breaks and takes long: some minutes; CI runs them too
	$(BIN)/python -m pytest -n auto -m long

test-machines: $(VENV)/.dev ## the tests that a machine can upset, as if on other machines
	.ci/machines all

test-slow: $(VENV)/.dev ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-load: $(VENV)/.dev ## load and faults on a real server: some minutes
	$(BIN)/python -m pytest -m load

test-gpu: $(VENV)/.dev ## training and captions of every method on an NVIDIA GPU, with pictures/s: 4 minutes
	$(BIN)/python -m pytest -m gpu -n 0 -s

BENCH_PEERS := benchmarks/.work/peers

$(BENCH_PEERS)/.done: benchmarks/peers/requirements.txt deploy/install_torch.py
	@echo "==> installing what the benchmarks compare with, into an environment of its own"
	$(PYTHON) -m venv $(BENCH_PEERS)
	$(BENCH_PEERS)/bin/python deploy/install_torch.py benchmarks/peers/requirements.txt
	$(BENCH_PEERS)/bin/pip install --disable-pip-version-check -r benchmarks/peers/requirements.txt
	@touch $@

bench: $(VENV)/.dev $(BENCH_PEERS)/.done ## speed beside what one would use instead: RESULTS.md, an hour
	$(BIN)/python -m benchmarks.model_level
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.server_level
	$(BIN)/python -m benchmarks.server_growth
	$(BIN)/python -m benchmarks.results

bench-quick: $(VENV)/.dev $(BENCH_PEERS)/.done ## the core of it in six minutes
	$(BIN)/python -m benchmarks.model_level --quick
	$(BIN)/python -m benchmarks.results

test-deploy: $(VENV)/.dev ## image, nginx, ship.sh, updates under load: for real, on this machine, as root
	$(call debian,dockerd,docker.io,make test-deploy)
	$(call debian,docker-compose,docker-compose,make test-deploy)
	$(call debian,mmdebstrap,mmdebstrap,make test-deploy)
	$(call debian,iptables,iptables,make test-deploy)
	$(call debian,ip,iproute2,make test-deploy)
	$(call debian,nginx,nginx-light,make test-deploy)
	$(call debian,rsync,rsync,make test-deploy)
	$(call debian,sshd,openssh-server,make test-deploy)
	$(call debian,ssh,openssh-client,make test-deploy)
	$(call debian,zstd,zstd,make test-deploy)
	$(BIN)/python -m pytest -m deploy

lint: $(VENV)/.dev ## ruff, import-linter and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=client/src $(BIN)/lint-imports --no-cache
	$(BIN)/mypy

format: $(VENV)/.dev ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve pyproject.toml's dependencies anew into the lock files
	$(PYTHON) deploy/lock.py

docs: $(VENV)/.dev ## the tables of docs/ that are made from the code, anew
	$(BIN)/python -m tests.docs.tables

screenshot: $(VENV)/.dev programs ## the README's picture of the web page, anew
	$(BIN)/python -m tests.web.screenshot models/weights/compact docs/screenshot.png

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

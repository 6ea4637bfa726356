# Everything a clone needs: `make` lists the targets. Each target does its own set-up and is quick when nothing changed.

PYTHON ?= python3
EXTRAS ?=
VENV := .venv/bin/python
PYTEST_ARGS ?=
PLUGINS := $(notdir $(wildcard plugins/*/voiceclone_*))
export MYPYPATH := $(subst $(eval) ,:,$(wildcard plugins/*))

.DEFAULT_GOAL := help
.PHONY: help setup demo test sanitize lint format bench bench-gpu protos lock clean

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv, install the locked packages, generate protos, build (EXTRAS="train quality" adds those)
	@command -v $(PYTHON) >/dev/null || { echo "[setup] $(PYTHON) is missing: sudo apt-get install -y python3 python3-venv"; exit 1; }
	@$(PYTHON) scripts/bootstrap.py $(EXTRAS)

demo: setup ## speak a sentence in the voice of a reference recording, through a real server
	@echo "[demo] voiceclone demo"
	@.venv/bin/voiceclone demo

test: EXTRAS += train
test: setup ## run the tests (PYTEST_ARGS="-k mas" to pick)
	@echo "[test] pytest"
	@$(VENV) -m pytest -m "not network" $(PYTEST_ARGS)

sanitize: setup ## run every CPU kernel under AddressSanitizer and UndefinedBehaviorSanitizer
	@echo "[sanitize] tests/native at each CPU level"
	@$(VENV) scripts/sanitize.py

lint: setup ## check style and types
	@echo "[lint] ruff check, ruff format --check, mypy --strict"
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy -p voiceclone $(addprefix -p ,$(PLUGINS))

format: setup ## rewrite the code in the project's style
	@$(VENV) -m ruff check --fix .
	@$(VENV) -m ruff format .

bench: EXTRAS += train quality bench
bench: setup ## measure kernels, serving and speech; results go to benchmarks/results
	@for name in kernels serving quality; do echo "[bench] $$name"; $(VENV) -m benchmarks.$$name || exit 1; done
	@$(VENV) benchmarks/report.py

bench-gpu: EXTRAS += bench bench-gpu
bench-gpu: export VOICECLONE_CUDA ?= on
bench-gpu: setup ## on a GPU machine: build with CUDA, test, look for memory errors, measure the kernels
	@$(VENV) scripts/bench_gpu.py

protos: setup ## compile protos/ into voiceclone/_proto
	@echo "[protos] voiceclone/_proto"
	@$(VENV) scripts/generate_protos.py

lock: ## resolve requirements/*.in anew into requirements/*.txt (needs uv)
	@$(PYTHON) scripts/lock.py

clean: ## remove what was built; .venv, voices and training runs stay
	@echo "[clean] build/, voiceclone/_proto, compiled kernels, caches"
	@rm -rf build voiceclone/_proto voiceclone/_C*.so *.egg-info plugins/*/*.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

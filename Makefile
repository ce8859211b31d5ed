# Everything sets itself up: a virtual environment in .venv, nothing else is written outside the checkout.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# In this order; options for all of them: make bench BENCH='--workers 2'
BENCHES := ceiling sign_ins overload growth flood memory storm
BENCH   ?=

# A fault run fills a small disk of its own, which only root may mount: in a namespace that goes with it.
ALONE := $(shell [ "$$(id -u)" = 0 ] && command -v unshare >/dev/null && echo unshare --mount --propagation private)
SOAK_MINUTES ?= 60

.PHONY: demo test test-two browser lint check format fuzz faults faults-short soak bench bench-quick wheel nodes audit clean help

help:                ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "radiusd-mfa needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "This Python has no venv module. On Debian: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)       ## throw-away server, one user, one real sign-in; then keeps serving
	@$(BIN)/radiusd-mfa demo

test: $(READY)       ## every test, on SQLite and on a real PostgreSQL
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

browser:             ## fetch what the browser tests check accessibility with, by npm; they also need Debian's chromium and chromium-driver
	npm install --prefix tests/browser --no-package-lock --no-audit --no-fund --silent

test-two: $(READY) ## the attacks and models again, against two workers on each port
	RADIUSD_MFA_TEST_WORKERS=2 $(BIN)/python -m pytest -n auto --dist loadfile tests/attacks tests/models

lint: $(READY)       ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test     ## both of them: what CI runs

format: $(READY)     ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(READY)       ## 10,000,000 mutated packets through the decoder
	RADIUSD_MFA_FUZZ_PACKETS=10000000 $(BIN)/python -m pytest tests/radius/test_fuzz.py

faults: $(READY)     ## 10,000 sign-ins at two servers while everything fails in turn; about a quarter of an hour, for docs/reliability.md
	$(ALONE) $(BIN)/python -m tests.faults.run
	$(BIN)/python -m bench.reliability

faults-short: $(READY) ## the same with 250 sign-ins and three faults of chance, about a minute; writes nothing here
	@out=$$(mktemp -d) && $(ALONE) $(BIN)/python -m tests.faults.run --short --out "$$out" && echo "results: $$out"

soak: $(READY)       ## an hour at half of the peak (SOAK_MINUTES=60); memory and latency for docs/reliability.md
	$(BIN)/python -m bench.soak --minutes $(SOAK_MINUTES) $(BENCH)
	$(BIN)/python -m bench.plots
	$(BIN)/python -m bench.reliability

bench: $(READY)      ## measure everything, about an hour and a half; figures and plots go into docs
	@echo "Takes about an hour and a half on two processors, and wants the machine to itself. A quarter of an hour: make bench-quick"
	@mkdir -p bench/results
	-$(BIN)/python bench/codec.py --json bench/results/codec.json
	@for name in $(BENCHES); do echo "== $$name"; $(BIN)/python -m bench.$$name $(BENCH) || echo "== $$name FAILED" >&2; done
	$(BIN)/python -m bench.plots
	$(BIN)/python -m bench.report

bench-quick: $(READY) ## every benchmark in short, about a quarter of an hour; its results go into a temporary directory
	@out=$$(mktemp -d) && for name in $(BENCHES); do \
		echo "== $$name"; $(BIN)/python -m bench.$$name --quick --out "$$out" $(BENCH) || exit 1; done && \
		$(BIN)/python -m bench.plots --results "$$out" --to "$$out" && echo "results: $$out"

wheel: $(READY)      ## build dist/*.whl, and try it in an empty environment with its dependencies from the index
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	RADIUSD_MFA_TEST_INDEX=1 $(BIN)/python -m pytest tests/packaging/test_wheel.py

nodes: $(READY)      ## two servers, a primary and a standby: kill -9, failover, rolling restart and upgrade, as docs/several-nodes.md says
	$(BIN)/python -m pytest -v tests/processes/test_failover.py tests/processes/test_crashes.py tests/processes/test_change_under_load.py

audit: $(READY)      ## look for known vulnerabilities in what is installed; asks a service on the network, so not in CI
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python -m pip_audit --skip-editable --strict

clean:               ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

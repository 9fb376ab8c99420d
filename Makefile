# The README's commands. Everything lives in .venv; what is installed already is taken as it is.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

include docker/images.mk docker/locks.mk

.DEFAULT_GOAL := demo
.PHONY: demo test check chaos fuzz bench bench-restore bench-takeover bench-rebalance bench-checkpoint bench-training bench-trained bench-classes bench-text clean

demo: $(VENV)/.ready
	@$(BIN)/python -m demo

test: $(VENV)/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -n 2 --dist loadfile

# What needs no broker, in a minute.
check: $(VENV)/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -n 2 -m "not broker"

$(VENV)/.ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing statecast and what it needs into $(VENV) (once; torch alone is several GB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Coverage-guided fuzzing of everything that reads bytes from outside, SECONDS for each reader.
fuzz: $(VENV)/.ready
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# Random faults under load: instances and the broker killed, frozen, restarted. SEED repeats a run's plan.
FAULTS ?= 20
SECONDS ?= 120
CLIENT ?= confluent
DELIVERY ?= exactly_once
chaos: $(VENV)/.ready
	@$(BIN)/python -m tests.chaos --faults $(FAULTS) --seconds $(SECONDS) --client $(CLIENT) --delivery $(DELIVERY) \
		$(if $(SEED),--seed $(SEED))

# Benchmarks are commands, never tests. Needs a quiet machine to mean anything. ARGS are the benchmark's own options.
ARGS ?=
bench: $(VENV)/.ready
	@$(BIN)/python -m benchmarks.table $(ARGS)

bench-restore bench-takeover bench-rebalance bench-checkpoint: bench-%: $(VENV)/.ready
	@$(BIN)/python -m benchmarks.$* $(ARGS)

# Of training: speed against a bare loop; scores on real data (ARGS="--etth1 PATH"); six classes of control charts.
bench-training: $(VENV)/.ready
	@$(BIN)/python -m benchmarks.training_speed $(ARGS)

bench-trained: $(VENV)/.ready
	@$(BIN)/python -m benchmarks.trained $(ARGS)

bench-classes: $(VENV)/.ready
	@$(BIN)/python -m benchmarks.control_charts $(ARGS)

# DATA is the path of a text.
bench-text: $(VENV)/.ready
	@$(BIN)/python -m benchmarks.shakespeare $(DATA) $(ARGS)

clean:
	rm -rf $(VENV) demo-report chaos.json bench.json

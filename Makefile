# `make` alone explains. Every target sets up .venv first; that is a matter of milliseconds once it exists.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
export PYTHON

# Environment of everything that runs: ROS as scripts/ros_env.sh chooses it.
ENV := set -u; . scripts/ros_env.sh || exit 1;

.PHONY: help venv sim test check check-extras check-lerobot site lint typecheck bench doctor clean

help: ## This text
	@echo "fetch_sim2real: closed-loop RGB-D policies on a Fetch arm, on the robot and in simulation."
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/' | \
		while IFS='|' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done
	@echo
	@echo "  Start with:  make sim        the whole stack in simulation; the first time sets up .venv"
	@echo "  Options:     ARGS            make sim ARGS='--world randomized'; make test ARGS='-k limiter -x'"
	@echo "               PYTHON          make venv PYTHON=python3.12   (3.10 to 3.12)"
	@echo "               TORCH_SPEC, EXTRAS, FETCH_ROS, SKIP_APT: see scripts/setup_venv.sh"

venv: ## Make or update .venv and, where they are missing, install Debian's OpenGL packages
	@scripts/setup_venv.sh

sim: venv ## Run the simulated robot and camera, the policy and the driver
	@$(ENV) exec $(BIN)/fetch-sim2real sim $(ARGS)

# Graphs keep real deadlines, so they have the machine to themselves; all else shares the cores.
test: venv ## Run the tests; with ARGS those that it chooses, one after the other
ifeq ($(strip $(ARGS)),)
	@$(ENV) rc=0; \
	$(BIN)/python -m pytest -m "not ros" --numprocesses auto --dist loadfile --durations 15 || rc=$$?; \
	$(BIN)/python -m pytest -m ros --durations 25 || rc=$$?; \
	exit $$rc
else
	@$(ENV) exec $(BIN)/python -m pytest $(ARGS)
endif

check: lint typecheck test ## What has to pass before a change is offered: lint, type check, tests

# Heavy packages that only some need: installed beside the extras that were chosen before, and kept.
HEAVY := drake
check-extras: venv ## Install the heavy extras (Drake) and run the tests that need them
	@extras=$$(cat .venv/.extras); case ",$$extras," in *,$(HEAVY),*) ;; *) EXTRAS="$${extras:+$$extras,}$(HEAVY)" scripts/setup_venv.sh ;; esac
	@$(ENV) exec $(BIN)/python -m pytest -m extras $(ARGS)

check-lerobot: ## Make .venv-lerobot and read exported datasets back with LeRobot itself
	@scripts/setup_lerobot.sh
	@.venv-lerobot/bin/python -m pytest -m extras tests/test_export_lerobot.py

site: venv ## Build the pages of docs/ as a searchable site, site/index.html
	@extras=$$(cat .venv/.extras); case ",$$extras," in *,docs,*) ;; *) EXTRAS="$${extras:+$$extras,}docs" scripts/setup_venv.sh ;; esac
	@$(BIN)/mkdocs build --quiet && echo "site/index.html"

lint: venv ## Run ruff
	@$(BIN)/ruff check .

typecheck: venv ## Run mypy
	@$(BIN)/mypy

bench: venv ## Run the benchmarks
	@$(ENV) exec $(BIN)/python -m benchmarks $(ARGS)

doctor: venv ## Say what this machine has and lacks
	@$(ENV) exec $(BIN)/fetch-sim2real doctor $(ARGS)

clean: ## Remove .venv and everything that was built
	rm -rf .venv .venv-lerobot site build dist install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf ros2_ws/build ros2_ws/install ros2_ws/log

# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# `make site` builds everything and shows it; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
LINK := .ansible/collections/ansible_collections/quorate/pve
LAB_DIR := $(or $(QUORATE_LAB_DIR),.agentstack/lab)

# molecule and ansible-compat look for ansible-config in PATH
export PATH := $(BIN):$(PATH)
unexport PYTHONPATH
export MOLECULE_GLOB := molecule/*/molecule.yml

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- the environment

$(BIN)/python:
	@python=$$(scripts/find-python)
	"$$python" -m venv $(VENV)

# What `make site` needs; the development tools come with the first `make test`
$(VENV)/.site: pyproject.toml | $(BIN)/python
	@echo "environment   installing into .venv"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "environment   installing the development tools into .venv"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.site

# The checkout is the collection: Ansible finds it by this link
$(LINK):
	@mkdir -p $(@D)
	ln -sfn ../../../.. $@

.PHONY: venv
venv: $(VENV)/.dev $(LINK)  ## the environment with the development tools

# ---- the site

.PHONY: site
site: $(VENV)/.site $(LINK)  ## the lab: agents, cluster, everything in inventory/lab
	@ansible-playbook site.yml $(ARGS)

.PHONY: drill
drill: $(VENV)/.site $(LINK)  ## a failover drill: SCENARIO=power-loss NODE=pve1 [LINK_NUMBER=1] [NETWORK=…] [SITE=…] [HOST=…]
	@ansible-playbook playbooks/drill.yml -e drill_confirm=true $(if $(SCENARIO),-e drill_scenario=$(SCENARIO)) \
	  $(if $(NODE),-e drill_node=$(NODE)) $(if $(LINK_NUMBER),-e drill_link=$(LINK_NUMBER)) \
	  $(if $(NETWORK),-e drill_network=$(NETWORK)) $(if $(SITE),-e drill_site=$(SITE)) \
	  $(if $(HOST),-e drill_host=$(HOST)) $(ARGS)

.PHONY: down
down:  ## stop the lab's agents; `make site` starts them again with what they had
	@if [ -x $(BIN)/agentstack ] && [ -d "$(LAB_DIR)" ]; then $(BIN)/agentstack down --dir "$(LAB_DIR)"; fi

.PHONY: clean
clean: down  ## remove everything that make made
	@if [ -e "$(LAB_DIR)/stack.json" ]; then rm -rf "$(LAB_DIR)"; fi
	rm -rf .agentstack .ansible build .venv quorate.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- tests

.PHONY: lint
lint: venv  ## formatting, types, YAML, playbooks, documentation
	@scripts/lint

.PHONY: test
test: lint  ## what a change must pass: lint and the quick tests
	@pytest -n 2 --dist loadfile -m 'not long and not soak' $(ARGS)

.PHONY: test-long
test-long: venv  ## everything else: molecule, sanity, other releases of ansible-core, fresh clone, build and install
	@failed=; for part in sanity ansible-versions molecule; do scripts/$$part || failed="$$failed $$part"; done; \
	pytest -n 2 --dist loadfile -m 'long and not soak' $(ARGS) || failed="$$failed pytest"; \
	if [ -n "$$failed" ]; then echo "test-long  failed:$$failed"; exit 1; fi

.PHONY: test-soak
test-soak: venv  ## what takes many minutes or wants the machine for itself: failovers unscaled, sites lost, fuzz, benchmarks
	pytest -n 2 --dist loadfile -m soak $(ARGS)

.PHONY: bench
bench: venv  ## every benchmark, or NAME=…; a table, and build/bench.json
	@$(BIN)/python -m tests.benchmarks $(NAME)

.PHONY: replay
replay: $(VENV)/.site  ## recorded calls, CORPUS=… [PVE_VERSION=8.4] [OFF=pve1,pve2] [AT=pve3], against a fresh stack
	@$(BIN)/python scripts/replay "$(CORPUS)" $(if $(PVE_VERSION),--pve-version $(PVE_VERSION)) \
	  $(if $(OFF),--off $(OFF)) $(if $(AT),--at $(AT)) $(if $(ARGS),-- $(ARGS))

.PHONY: molecule
molecule: venv  ## every molecule scenario, or SCENARIO=…
	@if [ -n "$(SCENARIO)" ]; then molecule test --scenario-name "$(SCENARIO)"; else scripts/molecule; fi

.PHONY: sanity
sanity: venv  ## ansible-test sanity on what would be installed
	@scripts/sanity

.PHONY: versions
versions: venv  ## the collection under other releases of ansible-core, [VERSIONS="2.17 2.18"], with a whole site
	@scripts/ansible-versions --site $(VERSIONS)

.PHONY: docs
docs: venv  ## write docs/variables.md and docs/rights.md anew
	@$(BIN)/python scripts/variables_table.py
	@$(BIN)/python scripts/rights_table.py

.PHONY: dist
dist: venv  ## the collection's tarball in build/
	@ansible-galaxy collection build --force --output-path build

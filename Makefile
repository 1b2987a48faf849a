# Konsil: `make run` starts a server and prints a link to open, `make test` proves it.
# Both set up what they need on a Debian 12 with Rust and Node: packages by name from apt, cargo, npm and pip.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

APT := chromium coturn firefox-esr iproute2 libnss3-tools nftables python3-venv systemd
TOOLS := target/tools
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
CARGO := cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
SEEDS ?= 1..100
REPORT_SEEDS ?= 1..4
SECONDS_EACH ?= 60

.PHONY: help run build test lint unit web-test packaging clients clients-setup sim sim-report fuzz bench soak setup clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make run        build, start the server, print a link to open (state in ./konsil-state)
run: build
	target/debug/konsil serve

## make build      the page and the binary
build: web/dist/index.html
	$(CARGO) build --locked

## make test       everything that CI runs
test: setup lint unit web-test packaging clients

setup: target/.apt web/dist/index.html

target/.apt: Makefile
	@mkdir -p target
	@missing=""; for p in $(APT); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi
	@touch $@

web/node_modules/.stamp: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules/.stamp $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print 2>/dev/null)
	cd web && npm run build
	@touch $@

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install --locked --root $(TOOLS) cargo-deny@$(DENY_VERSION)

$(TOOLS)/bin/cargo-fuzz:
	$(CARGO) install --locked --root $(TOOLS) cargo-fuzz@$(FUZZ_VERSION)

lint: web/dist/index.html $(TOOLS)/bin/cargo-deny
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(CARGO) deny --locked check bans licenses sources

unit: web/dist/index.html
	$(CARGO) test --locked

packaging: build
	python3 tests/image.py target/debug/konsil

web-test: web/node_modules/.stamp
	cd web && npm run check && npm test

tests/clients/node_modules/.stamp: tests/clients/package.json tests/clients/package-lock.json
	cd tests/clients && npm ci --no-audit --no-fund
	@touch $@

target/venv/.stamp: tests/clients/python/requirements.txt target/.apt
	python3 -m venv target/venv
	target/venv/bin/pip install -q -r tests/clients/python/requirements.txt
	@touch $@

clients-setup: setup build tests/clients/node_modules/.stamp target/venv/.stamp

clients: clients-setup
	cd tests/clients && npm test

## make sim        more seeds for the simulation: make sim SEEDS=1..1000
sim:
	SEEDS=$(SEEDS) $(CARGO) test --locked --test sim -- --nocapture

## make sim-report the book of networks for pairs at the relay and rooms of 4 or 9, as a table: make sim-report REPORT_SEEDS=1..4
sim-report:
	PEOPLE=2 SEEDS=$(REPORT_SEEDS) $(CARGO) test --locked --test sim -- --nocapture pairs_meet
	for people in 4 9; do PEOPLE=$$people SEEDS=$(REPORT_SEEDS) $(CARGO) test --locked --test sim -- --nocapture book one_bad; done

## make fuzz       each fuzz target for SECONDS_EACH seconds (60), with AddressSanitizer
fuzz: $(TOOLS)/bin/cargo-fuzz
	for target in $$(sed -n '/^\[\[bin\]\]/{n;s/name = "\(.*\)"/\1/p}' fuzz/Cargo.toml); do \
		mkdir -p target/fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/fuzz PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(CARGO) fuzz run $$target \
			target/fuzz/corpus/$$target fuzz/corpus/$$target -- -max_total_time=$(SECONDS_EACH) -rss_limit_mb=4096 || exit 1; \
	done

## make soak       joins and leaves by real browsers for SECONDS_EACH seconds, then looks for what grew
soak: clients-setup
	cd tests/clients && SECONDS_EACH=$(SECONDS_EACH) node soak.mjs

## make bench      CPU per forwarded packet, beside a bare loop with the same traffic
bench:
	$(CARGO) bench --locked --bench forward --bench turn

clean:
	$(CARGO) clean
	rm -rf web/dist web/node_modules tests/clients/node_modules

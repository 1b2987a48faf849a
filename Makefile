# Konsil: `make run` starts a server and prints a link to open, `make test` proves it.
# Both set up what they need on a Debian 12 with Rust and Node: packages by name from apt, cargo, npm and pip.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

APT := chromium coturn firefox-esr iproute2 libnss3-tools nftables openssl python3-venv systemd
TOOLS := target/tools
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
CARGO := cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
SEEDS ?= 1..100
REPORT_SEEDS ?= 1..4
BENCHES ?= forward turn
SECONDS_EACH ?= 60
# Where `make release` records how the server runs under load, and what reads that record. rustc 1.95 writes what LLVM 19 reads.
RECORD := $(CURDIR)/target/pgo
PROFDATA ?= $(firstword $(foreach version,19 20 21 22,$(shell command -v llvm-profdata-$(version))))
# The recorded profile for `make bench`, if there is one; `make bench PGO=` measures without.
PGO ?= $(firstword $(wildcard $(RECORD)/*.profdata))
# Named, so that flags are for the server alone, not for what runs while it is built.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

.PHONY: help run build release release-binary train test lint unit web-test packaging clients clients-setup sim sim-report fuzz bench soak setup clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make run        build, start the server, print a link to open (state in ./konsil-state)
run: build
	target/debug/konsil serve

## make build      the page and the binary
build: web/dist/index.html
	$(CARGO) build --locked

## make release    the binary as it is released, optimised for recorded loads: target/release/konsil
release: web/dist/index.html
	@$(MAKE) --no-print-directory release-binary

# Without the page, which must be there.
release-binary: train
	RUSTFLAGS="$${RUSTFLAGS:-} -Cprofile-use=$$(echo $(RECORD)/*.profdata)" $(CARGO) build --release --locked --target $(HOST) --bin konsil
	mkdir -p target/release && install -m 755 target/$(HOST)/release/konsil target/release/konsil

# An instrumented build of the benches forwards and relays for two minutes. Thin LTO makes it quicker; the names of functions,
# by which the compiler finds its counts again, are the same. The record is named by what it says, or Cargo would not see that it changed.
train:
	@test -n "$(PROFDATA)" || { echo "make release needs llvm-profdata to read the recorded profile: apt-get install llvm-19" >&2; exit 2; }
	rm -rf $(RECORD) && mkdir -p $(RECORD)/raw
	export RUSTFLAGS="$${RUSTFLAGS:-} -Cprofile-generate=$(RECORD)/raw -Clto=thin"; \
		for bench in forward turn; do $(CARGO) bench --locked --target $(HOST) --bench $$bench -- train; done
	$(PROFDATA) merge -o $(RECORD)/merged $(RECORD)/raw/*.profraw
	rm -r $(RECORD)/raw && mv $(RECORD)/merged $(RECORD)/$$(sha256sum $(RECORD)/merged | cut -c 1-16).profdata

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

## make bench      CPU per forwarded packet, beside a bare loop with the same traffic; with the profile of make release
bench:
	@echo "profile: $(if $(PGO),$(PGO),none)"
	$(if $(PGO),RUSTFLAGS="$${RUSTFLAGS:-} -Cprofile-use=$(PGO)") $(CARGO) bench --locked --target $(HOST) $(addprefix --bench ,$(BENCHES))

clean:
	$(CARGO) clean
	rm -rf web/dist web/node_modules tests/clients/node_modules

# One line each: what a target does stands in scripts/.
CONFIG ?= plugins.conf
PREFIX ?= /usr/local
DESTDIR ?=
# Of `make fuzz`, for each target.
SECONDS_EACH ?= 60
# What Package.swift came to is kept until its text or the environment changes: of a new commit it would not hear.
export BULKHEAD_COMMIT := $(shell git rev-parse HEAD 2>/dev/null && (git diff --quiet HEAD || echo +) 2>/dev/null)

.PHONY: run build test bench drill lint format docs fuzz deps install clean help

run: build ## build in release, and serve plugins.conf on 127.0.0.1:8080
	.build/release/bulkhead run --config $(CONFIG)

build: ## the host and every plugin, in release
	scripts/deps build && swift build -c release

test: ## every test, against the release build
	scripts/test

bench: ## CPU time per request beside nginx, in one run
	scripts/bench

drill: ## the night of 15 August 2025, on this build
	scripts/drill

lint: ## format and house rules
	scripts/lint

format: ## put every Swift file in the house's format
	swift format format --in-place --recursive Package.swift Sources Plugins Tests Benchmarks

docs: ## the documentation as a static site in .build/docs/site
	scripts/docs

fuzz: ## hostile inputs, guided by coverage, through the codec, the configuration, and what processes tell each other
	scripts/fuzz guided $(SECONDS_EACH)

deps: ## install the system packages that building and testing need, if missing
	scripts/deps build test

install: build ## binary, plugins, Swift's own libraries, SDK, manual and completions under PREFIX
	scripts/install "$(DESTDIR)" "$(PREFIX)"

clean: ## remove what building made
	swift package clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

# Coffer. `make help` lists the targets; `make demo` and `make test` do all their own set-up.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Version stamping asks git about the folder, which git refuses where another user owns the clone.
export GOFLAGS := $(strip $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false)

FUZZTIME     ?= 10s
DURATION     ?= 2m
SEED         ?=
BENCH        ?= .
BENCHTIME    ?= 1s
BENCHCOUNT   ?= 1
COFFER_E2E_MB ?= 300
NBD_SECONDS  ?= 60
KILLS        ?= 40
META_SEEDS   ?= 10

.PHONY: help demo test lint race fuzz bench kernels crash kill sqlitecrash sqlitetests tables e2e nbd-long vectors pebble-meta cross fips arm64 tools clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)$$/  \1	\2/p' Makefile | expand -t 14

demo: ## the guided demonstration: key file, encrypted volume, 1,000 records, a look into both files
	@scripts/setup.sh go
	@go run ./cmd/coffer demo

test: ## everything CI runs: lint, builds, race tests, a short fuzz, each benchmark once, all tests
	@scripts/test.sh

lint: ## gofmt, go vet, staticcheck, go.mod tidy, generated code up to date
	@scripts/setup.sh go
	@scripts/lint.sh

race: ## the race detector over what runs on several goroutines, short form
	@scripts/setup.sh test
	@scripts/race.sh

fuzz: ## every fuzz target in the tree for FUZZTIME (10s) each
	@scripts/setup.sh go
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

bench: ## benchmarks; BENCH=regexp BENCHTIME=1s BENCHCOUNT=1
	@scripts/setup.sh go
	@go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -count $(BENCHCOUNT) -timeout 120m ./...

kernels: ## AES kernels against the processor's limit, beside other implementations; FULL=1 for the whole matrix
	@scripts/setup.sh go
	@go run ./cmd/coffer bench kernels $(if $(FULL),--full)

crash: ## power cuts for DURATION (2m), from SEED=n or a random one; ends with cuts=N failures=N seed=N
	@scripts/setup.sh go
	@go run ./internal/crashtest/cmd -duration $(DURATION) $(if $(SEED),-seed $(SEED))

kill: ## processes killed by SIGKILL on this file system for DURATION (2m); ends with kills=N failures=N seed=N
	@scripts/setup.sh go
	@go run ./internal/killtest/cmd -duration $(DURATION) $(if $(SEED),-seed $(SEED))

sqlitecrash: ## power cuts under SQLite for DURATION (2m), from SEED=n or a random one; ends with cuts=N failures=N seed=N
	@scripts/setup.sh go
	@go run ./internal/sqlitetest/cmd -duration $(DURATION) $(if $(SEED),-seed $(SEED))

sqlitetests: ## go-sqlite3's own tests (speedtest1, mptest, stress) over the VFS in every journal mode; about ten minutes
	@scripts/setup.sh test
	@go test ./internal/sqlitetest -run 'Mptest|Speedtest1|Stress' -foreign -count 1 -v -timeout 30m

tables: ## tables re-keyed beside live writers on SQLite and PostgreSQL, killed KILLS (40) times each, with SEED; prints the counts
	@scripts/setup.sh test
	@COFFER_TABLE_KILLS=$(KILLS) COFFER_TABLE_SEED=$(SEED) go test ./cmd/coffer -run TableKilled -count 1 -v -timeout 60m

e2e: ## a real SQLite database of COFFER_E2E_MB (300) through encrypt, rekey with kills, decrypt
	@scripts/setup.sh test
	@COFFER_E2E_MB=$(COFFER_E2E_MB) go test ./cmd/coffer -run EndToEnd -count 1 -v -timeout 60m

nbd-long: ## PostgreSQL on ext4 on a volume over NBD (nbdfuse, a loop device; needs root), re-keyed, then killed; NBD_SECONDS (60) of each load
	@scripts/setup.sh test
	@NBD_SECONDS=$(NBD_SECONDS) scripts/nbdlong.sh

vectors: ## published test vectors that live in a nested module (a large download)
	@scripts/setup.sh test
	@scripts/nested.sh internal/vectors

pebble-meta: ## Pebble's metamorphic test over pebblefs, META_SEEDS (10) seeds from SEED=n or the clock on; ends with runs=N failures=N seed=N
	@scripts/setup.sh go
	@cd pebblefs/internal/metamorphic && COFFER_META_SEEDS=$(META_SEEDS) COFFER_META_SEED=$(SEED) COFFER_META_OPS=uniform:2000-5000 go test -v -count 1 -timeout 300m ./...

cross: ## builds and vets for other systems and processors, and with -tags purego
	@scripts/setup.sh go
	@scripts/cross.sh

fips: ## builds with the validated cryptographic module (GOFIPS140=v1.0.0) and runs the tests, in FIPS mode too
	@scripts/setup.sh test
	@scripts/fips.sh

arm64: ## builds for arm64 and runs the tests there, emulated (qemu-user)
	@scripts/setup.sh arm64
	@scripts/arm64.sh

tools: ## downloads and builds the pinned development tools (tools/go.mod)
	@scripts/setup.sh go
	@go tool -modfile=tools/go.mod staticcheck -version

clean: ## removes what builds leave in the work tree
	@rm -f coffer coffer.exe
	@find . -path ./.git -prune -o -type f \( -name '*.test' -o -name '*.prof' \) -print -exec rm -f {} +

# Bare `make` prints help. Tools and clusters are cached outside of the tree, by version.
SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE     := $(or $(STASH_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stash)
TOOLS     := $(CACHE)/tools-$(shell sha256sum < tools/go.sum | cut -c1-12)
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE     ?= stash:dev
RUN       ?=
FUZZTIME  ?= 20s
BENCHTIME ?= 1s
export CLUSTER ?= test
# The version is ours to say; and git refuses to tell root about a checkout of another user.
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -buildvcs=false)
NODES     ?= 3

BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
# Packages with tests that bring up a control plane or a cluster.
LIVE  := /test/(api|certs|corpus|docs|e2e|demo|cluster)(/|$$)
TEST  := go test -count=1
# The race detector needs a C compiler.
RACE  := $(TEST) $(if $(shell command -v gcc),-race)

.PHONY: help build image generate fmt check lint test unit api-test e2e fuzz bench chaos cluster cluster-down demo demo-down clean

help: ## print this help
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

##@ See it run (a real cluster on this machine: Debian, root, Go)

demo: ## cluster, Stash, an application; backup, disaster and restore, step by step
	go run ./test/demo up

demo-down: ## remove what `make demo` left to play with
	go run ./test/demo down

cluster: ## a cluster of three nodes with an S3 server; prints its KUBECONFIG (CLUSTER=name, NODES=n, NET=n: 10.n.0.0/16)
	go run ./test/cluster/cmd/cluster up --name $(CLUSTER) --nodes $(NODES) $(if $(NET),--net $(NET))

cluster-down: ## remove it
	go run ./test/cluster/cmd/cluster down --name $(CLUSTER)

##@ Build

build: ## bin/stash (operator) and bin/stash-agent, static
	$(BUILD) -o bin/stash ./cmd/stash
	$(BUILD) -o bin/stash-agent ./cmd/stash-agent

image: build ## the image, from deploy/Dockerfile, with docker, podman or buildah (IMAGE=stash:dev)
	tools/image $(IMAGE)

generate: $(TOOLS)/controller-gen $(TOOLS)/crd-ref-docs ## deepcopy, CRDs, webhook golden, reference docs
	tools/generate $(TOOLS)

fmt: $(TOOLS)/golangci-lint ## format the code
	$(TOOLS)/golangci-lint fmt ./...

clean: ## remove bin/ (what is cached stays: it is by version)
	rm -rf bin

##@ Test

check: lint $(TOOLS)/controller-gen $(TOOLS)/crd-ref-docs ## format, linters, layers, generated files, docs and examples
	tools/verify $(TOOLS)
	$(TEST) -run 'Layers|Refuse|Files|Decode|Links|MakeTargets' ./test/layers ./test/docs

lint: $(TOOLS)/golangci-lint
	$(TOOLS)/golangci-lint fmt --diff ./...
	$(TOOLS)/golangci-lint run ./...

test: SKIP = TestUnderLoad
test: unit api-test e2e ## everything but admission under load, which `make e2e` has too

# With an empty STASH_TEST_RESTIC or STASH_TEST_DATABASES, and no CI, what needs them is skipped.
unit: ## what needs no cluster: unit, golden, property, fuzz seeds
	STASH_TEST_RESTIC=$${STASH_TEST_RESTIC-$$(go run ./test/cluster/cmd/cluster restic)}; export STASH_TEST_RESTIC; \
	STASH_TEST_DATABASES=$${STASH_TEST_DATABASES-$$(go run ./test/cluster/cmd/cluster databases)}; export STASH_TEST_DATABASES; \
	$(RACE) $$(go list ./... | grep -vE '$(LIVE)')

api-test: ## what needs an API server: schemas, CEL, deploy/, certificates, corpus, docs, examples; and test/cluster
	$(TEST) -timeout 20m -p 1 ./test/cluster/... ./test/api ./test/certs ./test/corpus ./test/docs

e2e: ## on a real cluster of three nodes (RUN='a pod that is killed': those whose names it finds)
	RUN='$(RUN)' $(TEST) -timeout 60m -skip '$(SKIP)' -v ./test/e2e

fuzz: ## every fuzz target for FUZZTIME (20s) each
	tools/fuzz $(FUZZTIME)

bench: $(TOOLS)/benchstat ## the budgets of docs/benchmarks.md, side by side in one run (BENCH='-only handler': a part)
	go run ./test/bench -benchstat $(TOOLS)/benchstat -benchtime $(BENCHTIME) $(BENCH)

chaos: ## e2e of bad days over and over, in random order
	$(TEST) -timeout 120m -run 'TestBadDays' -count=3 -shuffle on -v ./test/e2e

$(TOOLS)/%:
	tools/install $(TOOLS) $*

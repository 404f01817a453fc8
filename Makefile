# Every command of the project. `make demo` and `make test` set up what they need on a fresh Debian machine.
SHELL := /bin/bash
# Outside the clone, so that every clone of one machine shares one build of RocksDB.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/edgefeed/target
# One profile and one feature set everywhere: RocksDB's C++ is built once. Always the whole workspace, for the same reason.
CARGO_FLAGS := --release --workspace --locked

.PHONY: demo test check bench setup prove-chains prove-kill prove-center prove-catch-up prove-outage prove-spool prove-explain prove-openapi prove-load prove-overload prove-figures prove-start prove-backup prove-bootstrap prove-verify image help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | column -t -s "$$(printf '\t')"

demo: setup ## everything in one process: broker, world, node (DEMO_ARGS="--users 5000 …")
	cargo build $(CARGO_FLAGS) --bin edgefeed
	$(CARGO_TARGET_DIR)/release/edgefeed demo $(DEMO_ARGS)

test: setup ## format, lints, licences, unit, integration and real-stack tests
	tests/run.sh

check: ## the quick part: format and lints
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

bench: setup ## criterion benches of decode, apply and score
	cargo bench --locked --workspace --bench pure

prove-kill: setup ## 200 kills and 200 cut logs, against the oracle (short version in `make test`)
	EDGEFEED_KILLS=200 EDGEFEED_CUTS=200 cargo test $(CARGO_FLAGS) --test integration crash:: -- --nocapture

prove-chains: setup ## 10,000 cursor chains over two nodes of a changing world, 10,000 random worlds (short version in `make test`)
	EDGEFEED_CHAINS=10000 EDGEFEED_WORLDS=10000 EDGEFEED_REFRESHED=500 cargo test $(CARGO_FLAGS) --test integration chains:: -- --nocapture

prove-center: setup ## 200,000 events exactly once in ClickHouse through 36 faults (short version in `make test`)
	tests/integration/center/prove.sh center::exactly_once EDGEFEED_EVENTS=200000 EDGEFEED_CHANGES=20000 EDGEFEED_FAULTS=36

prove-catch-up: setup ## 3,000,000 materialized events brought into ClickHouse, against the same inserts by hand (short version in `make test`)
	tests/integration/center/prove.sh center::catch_up EDGEFEED_BACKLOG=3000000

prove-outage: setup ## ClickHouse away for 2 minutes of load and 3 hours of record time (short version in `make test`)
	tests/integration/center/prove.sh center::outage EDGEFEED_OUTAGE_S=120

prove-explain: setup ## 30,000 absent posts explained, against the oracle; 200 exchanges of weights under load (short version in `make test`)
	EDGEFEED_EXPLAINED=10000 EDGEFEED_RELOADS=200 cargo test $(CARGO_FLAGS) --test integration explain:: -- --nocapture

prove-openapi: setup ## 5,000 requests and more that the OpenAPI document allows and forbids (short version in `make test`)
	EDGEFEED_CASES=5000 cargo test $(CARGO_FLAGS) --test integration document:: -- --nocapture

prove-load: setup ## 1,000 events, 1,000 changes and 1,000 feeds a second together for 5 minutes (short version in `make test`)
	tests/integration/center/prove.sh center::load EDGEFEED_LOAD_S=300

prove-spool: setup ## 1,000 own writes read back under load; five outages of Kafka with kills and power cuts (short versions in `make test`)
	EDGEFEED_TRIES=1000 tests/integration/center/prove.sh events:: EDGEFEED_ROUNDS=5 EDGEFEED_POSTED=150

prove-bootstrap: setup ## world M built from ClickHouse under traffic, 1,000 readers' feeds bit for bit (a small world: EDGEFEED_WORLD=s)
	tests/integration/center/prove.sh rebuild::world_m EDGEFEED_WORLD=$(or $(EDGEFEED_WORLD),m)

prove-overload: setup ## two and five times the load a node can answer, with and without turning away (short version in `make test`)
	EDGEFEED_OVERLOAD_S=20 cargo test $(CARGO_FLAGS) --test integration door::overload -- --nocapture

prove-verify: setup ## 100 defects of each kind put into center and node, found and mended (short version in `make test`)
	tests/integration/center/prove.sh center::verify EDGEFEED_DEFECTS=100

prove-figures: setup ## the figures of the README on this machine: ingest, world M, pages, one query a page (some: FIGURES="world_m pinned")
	benches/figures/prove.sh $(FIGURES)

prove-start: setup ## a store of 1 GB: kill -9 under writes, first page and ready within the figures, its backup against a plain copy (short version in `make test`)
	EDGEFEED_START_MB=1000 EDGEFEED_KILLS=5 cargo test $(CARGO_FLAGS) --test integration start:: -- --nocapture

prove-backup: setup ## 30 backups under load, each restored and held against the oracle (short version in `make test`)
	EDGEFEED_BACKUPS=30 cargo test $(CARGO_FLAGS) --test integration backup:: -- --nocapture

image: ## the container image (needs a Docker engine)
	docker build -t edgefeed .

setup: ## what is needed to build; installs it where apt-get is there
	@tests/setup.sh

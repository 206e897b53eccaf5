# The two commands: `make run` shows this machine's flows, `make test` runs every test.
# Both do the set-up they need on a fresh Debian machine with Rust.

CARGO ?= cargo
# Comparisons that `make differential` generates, flows in its tables, seconds for each target of `make fuzz`, and
# seeds of `make simulate`.
N ?= 5000
FLOWS ?= 150
FUZZ_SECONDS ?= 60
SEEDS ?= 1000
# Of `make soak`: how long flows come and go, and the tests of faults in their long form.
ZCT_SOAK_SECONDS ?= 3600
FAULTS = faults_kill faults_links faults_system faults_kernel faults_clients faults_peer faults_strangers

# Where `make install` puts things; LINKS are further names for the programs, and LINKS= makes none.
DESTDIR ?=
PREFIX ?= /usr/local
LINKS ?= conntrack nfct
# What `make static` builds for.
STATIC_TARGET ?= $(shell uname -m)-unknown-linux-gnu

.PHONY: run test test-kernels lint bench bench-quick bench-sync bench-counts picture differential simulate interop failover demo fuzz soak release static tiny install

run:
	@scripts/run.sh

release:
	$(CARGO) build --release --workspace

# Each program as a single file that needs nothing else: glibc is linked in.
static:
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --target $(STATIC_TARGET) --package zct --package zctd
	@ls -l target/$(STATIC_TARGET)/release/zct target/$(STATIC_TARGET)/release/zctd

# The smallest static programs: musl, and the standard library built for size; run in an empty root directory.
tiny:
	@CARGO="$(CARGO)" scripts/tiny.sh

install: release
	@scripts/install.sh "$(DESTDIR)" "$(PREFIX)" "$(LINKS)"

test: release static
	@scripts/test.sh

# The same programs under Debian's kernels 6.1 and 6.12, in virtual machines: make test-kernels KERNELS=6.12.115
test-kernels:
	@CARGO="$(CARGO)" tests/kernels/run.sh $(KERNELS)

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet
	@CARGO="$(CARGO)" scripts/library.sh
	@CARGO="$(CARGO)" scripts/deny.sh

# Random comparisons with Debian's conntrack, as many as asked for: make differential N=1000 FLOWS=100000
differential: release
	@ZCT_DIFFERENTIAL_N=$(N) ZCT_DIFFERENTIAL_FLOWS=$(FLOWS) scripts/test.sh differential

# The daemon's protocol on a simulated bad network, with a peer of its own kind and one like the original; a seed that
# fails is named, and SYNC_SEED=N runs it alone: make simulate SEEDS=5000
simulate:
	SIMULATE_SEEDS=$(SEEDS) $(CARGO) test --profile simulate --package zctd --lib sim::

# Every mode and link, with zctd and the original in every order: prints the table in README.
interop: release
	@ZCT_INTEROP=full scripts/test.sh interop_nodes interop_faults

# A firewall dies under traffic, with zctd and with the original.
failover: release
	@ZCT_FAILOVER=full scripts/test.sh failover

# Two firewalls, a client and a server in namespaces of their own: the active firewall dies under a transfer.
demo:
	$(CARGO) build --quiet --release --package zct --package zctd
	@CARGO="$(CARGO)" scripts/demo.sh

fuzz:
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh

# What takes too long for every change: many seeds, long fuzzing, every fault many times, an hour of churn.
soak: release
	@ZCT_LIMITS_ROUNDS=50 ZCT_LIMITS_SEED=$$(date +%s) scripts/test.sh limits
	@ZCT_DIFFERENTIAL_N=50000 scripts/test.sh differential
	@ZCT_DIFFERENTIAL_N=1000 ZCT_DIFFERENTIAL_FLOWS=100000 scripts/test.sh differential
	@FUZZ_SECONDS=600 tests/fuzz/run.sh
	@ZCT_FAULTS=full scripts/test.sh $(FAULTS) interop_faults
	@ZCT_SOAK_SECONDS=$(ZCT_SOAK_SECONDS) scripts/test.sh faults_churn
	$(MAKE) simulate SEEDS=5000
	$(MAKE) interop failover

# Measures zct beside Debian's conntrack on a million flows, as root: perf/RESULTS.md, its plots and raw runs.
bench: release
	@scripts/bench.sh 1000000

# The same with a tenth of the flows and without curves, printed to the terminal.
bench-quick: release
	@scripts/bench.sh 100000 --quick

# Measures two zctd beside two conntrackd on 300,000 flows, as root; writes perf/SYNC.md.
bench-sync: release
	@perf/sync.sh 300000 5

# Instructions per flow for every piece of work, compared with the baseline, which perf/callgrind.sh --write renews.
bench-counts:
	@perf/callgrind.sh

# docs/rooms.svg, from what the sources import.
picture:
	$(CARGO) run --quiet --package zct-tests --bin picture > docs/rooms.svg.new
	@mv docs/rooms.svg.new docs/rooms.svg

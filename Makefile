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
FAULTS = faults_kill faults_links faults_system faults_kernel faults_clients faults_peer faults_strangers sealed sealed_flood

# Where `make install` puts things; LINKS are further names for the programs, and LINKS= makes none.
DESTDIR ?=
PREFIX ?= /usr/local
LINKS ?= conntrack nfct
# What `make static` builds for.
STATIC_TARGET ?= $(shell uname -m)-unknown-linux-gnu
# What `make deb` builds for, in Debian's words.
ARCHITECTURE ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)

.PHONY: run test test-kernels test-packages test-hardening test-targets test-openwrt test-reproducible deb container lint msrv bench bench-quick bench-sync bench-cluster bench-counts picture differential simulate interop failover demo fuzz miri soak release static tiny install

run:
	@scripts/run.sh

# With a version, everything that a release of that version consists of: make release VERSION=0.2.0
ifeq ($(origin VERSION),command line)
release:
	@CARGO="$(CARGO)" scripts/release.sh $(VERSION)
else
release:
	$(CARGO) build --release --workspace
endif

# Each program as a single file that needs nothing else. The C library is linked in: glibc, or what STATIC_TARGET names,
# such as x86_64-unknown-linux-musl or aarch64-unknown-linux-musl, which need nothing but rustup to build.
static:
	CROSS_BUILD_ONLY=1 scripts/cross.sh $(STATIC_TARGET) \
		$(CARGO) build --config "target.$(STATIC_TARGET).rustflags=['-Ctarget-feature=+crt-static']" --release \
		--target $(STATIC_TARGET) --package zct --package zctd
	@ls -l target/$(STATIC_TARGET)/release/zct target/$(STATIC_TARGET)/release/zctd

# Debian's packages into target/deb: make deb ARCHITECTURE=arm64
deb:
	@CARGO="$(CARGO)" scripts/deb.sh $(ARCHITECTURE)

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

# Debian's packages in chroots and booted containers of both releases, as root: make test-packages RELEASES=trixie
test-packages:
	@CARGO="$(CARGO)" tests/packages/run.sh $(RELEASES)

# The daemon's tests with what its unit allows and nothing more, enforced by the kernel.
test-hardening:
	@tests/hardening/run.sh

# The unit tests on other machines, emulated, as root: make test-targets TARGETS=armv7-unknown-linux-gnueabihf
test-targets:
	@CARGO="$(CARGO)" tests/targets/run.sh $(TARGETS)

# OpenWrt's recipe, as far as it can be tried without OpenWrt.
test-openwrt:
	@CARGO="$(CARGO)" tests/openwrt/run.sh

# The root directory of a container image, into target/container, tried by chroot.
container:
	@CARGO="$(CARGO)" scripts/container.sh

# A release built twice, in two directories, compared byte for byte.
test-reproducible:
	@CARGO="$(CARGO)" tests/reproducible/run.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet
	@CARGO="$(CARGO)" scripts/library.sh
	@CARGO="$(CARGO)" scripts/deny.sh

# The oldest Rust that Cargo.toml promises: everything has to build with it, tests included.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv:
	rustup --quiet toolchain install $(MSRV) --profile minimal --no-self-update
	rustup run $(MSRV) cargo check --workspace --all-targets --locked --target-dir target/msrv

# Random comparisons with Debian's conntrack, as many as asked for: make differential N=1000 FLOWS=100000
differential: release
	@ZCT_DIFFERENTIAL_N=$(N) ZCT_DIFFERENTIAL_FLOWS=$(FLOWS) scripts/test.sh differential

# The daemon's protocol on a simulated bad network, with a peer of its own kind and one like the original; a seed that
# fails is named, and SYNC_SEED=N runs it alone: make simulate SEEDS=5000
simulate:
	SIMULATE_SEEDS=$(SEEDS) $(CARGO) test --profile simulate --package zctd --lib sim::

# Every mode and link, with zctd and the original in every order: prints the table in docs/zctd.md.
interop: release
	@ZCT_INTEROP=full scripts/test.sh interop_nodes interop_faults

# A firewall dies under traffic, with zctd and with the original.
failover: release
	@ZCT_FAILOVER=full scripts/test.sh failover

# Two firewalls, a client and a server in namespaces of their own: the active firewall dies under a transfer.
demo:
	@$(CARGO) build --quiet --release --package zct --package zctd
	@CARGO="$(CARGO)" scripts/demo.sh

fuzz:
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh

# What reads headers and attributes, under Miri for a machine with the other byte order. Needs a nightly Rust:
# rustup component add --toolchain nightly miri rust-src
miri:
	rustup run nightly cargo miri test --locked --package zct-wire --lib --target s390x-unknown-linux-gnu \
		--target-dir target/miri -- attr header

# What takes too long for every change: many seeds, long fuzzing, every fault many times, an hour of churn.
soak: release
	@ZCT_LIMITS_ROUNDS=50 ZCT_LIMITS_SEED=$$(date +%s) scripts/test.sh limits
	@ZCT_DIFFERENTIAL_N=50000 scripts/test.sh differential
	@ZCT_DIFFERENTIAL_N=1000 ZCT_DIFFERENTIAL_FLOWS=100000 scripts/test.sh differential
	@FUZZ_SECONDS=600 tests/fuzz/run.sh
	@ZCT_FAULTS=full scripts/test.sh $(FAULTS) interop_faults
	ZCT_SEALED_FRAMES=1000000 $(CARGO) test --locked --profile simulate --package zctd --test sealed_frames -- --nocapture
	ZCT_STORM_SECONDS=4 $(CARGO) test --locked --profile simulate --package zctd --lib -- storms
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

# Two, three and five zctd that know each other's flows, as root; writes the last section of perf/SYNC.md.
bench-cluster: release
	@perf/cluster.sh

# Instructions per flow for every piece of work, compared with the baseline, which perf/callgrind.sh --write renews.
bench-counts:
	@perf/callgrind.sh

# docs/rooms.svg, from what the sources import.
picture:
	$(CARGO) run --quiet --package zct-tests --bin picture > docs/rooms.svg.new
	@mv docs/rooms.svg.new docs/rooms.svg

# The two commands: `make run` shows this machine's flows, `make test` runs every test.
# Both do the set-up they need on a fresh Debian machine with Rust.

CARGO ?= cargo
# Generated comparisons of `make differential`, and seconds a target of `make fuzz`.
N ?= 5000
FUZZ_SECONDS ?= 60

.PHONY: run test lint bench bench-quick differential fuzz soak release

run:
	@scripts/run.sh

release:
	$(CARGO) build --release --workspace

test: release
	@scripts/test.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

# Random comparisons with Debian's conntrack, as many as asked for: make differential N=20000
differential: release
	@ZCT_DIFFERENTIAL_N=$(N) scripts/test.sh differential

fuzz:
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh

# What takes too long for every change: many seeds, long fuzzing.
soak: release
	@ZCT_DIFFERENTIAL_N=50000 scripts/test.sh differential
	@FUZZ_SECONDS=600 tests/fuzz/run.sh

bench: release
	@scripts/bench.sh 1000000

bench-quick: release
	@scripts/bench.sh 100000

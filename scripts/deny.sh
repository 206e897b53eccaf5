#!/bin/sh
# Checks the dependencies by deny.toml: licences, duplicates, where they come from, and known faults if the list of
# these can be had. Without cargo-deny, which is not needed for anything else, tests/tests/code_rules.rs checks the first
# two.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"

if ! $CARGO deny --version > /dev/null 2>&1; then
    echo "lint: cargo-deny is not installed (cargo install --locked cargo-deny); the tests check licences" >&2
    exit 0
fi
$CARGO deny --locked --log-level error check --show-stats licenses bans sources
if $CARGO deny --locked --log-level off fetch db > /dev/null 2>&1; then
    $CARGO deny --locked --log-level error check --disable-fetch advisories
else
    echo "lint: the list of known faults cannot be had from here; it was not looked at" >&2
fi

#!/bin/sh
# sbom.sh VERSION: prints what the programs are made of as CycloneDX 1.5, which scanners read: each library with its
# version, licence and checksum, from cargo's own records. SOURCE_DATE_EPOCH is its time, and TARGETS are the Rust targets
# that the programs are built for, else this machine's.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"
version=$1
scripts/setup.sh jq:jq

# What only other systems use is in no program, and need not have been downloaded.
: "${TARGETS:=$(rustc --version --verbose | sed -n 's/^host: //p')}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2046 # words on purpose
$CARGO tree --locked --package zct --package zctd --edges normal,no-proc-macro --prefix none --no-dedupe \
    $(printf -- '--target %s ' $TARGETS) --format '{p}' | grep . | sed 's/ (.*//' | LC_ALL=C sort -u >"$work/parts"
# shellcheck disable=SC2046 # the same
$CARGO metadata --locked --format-version 1 $(printf -- '--filter-platform %s ' $TARGETS) >"$work/metadata"
# Cargo.lock has the checksum of each package that comes from the registry.
awk '/^name = / { name = $3 } /^version = / { version = $3 } /^checksum = / { print name, version, $3 }' Cargo.lock |
    tr -d '"' | jq -R 'split(" ") | {key: "\(.[0]) v\(.[1])", value: .[2]}' | jq -s from_entries >"$work/checksums"
jq -n --rawfile parts "$work/parts" --slurpfile metadata "$work/metadata" --slurpfile checksums "$work/checksums" \
    --arg version "$version" --arg time "$(date --utc --date "@$SOURCE_DATE_EPOCH" +%FT%TZ)" '
    ($parts | split("\n") | map(select(. != ""))) as $parts
    | {
        bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
        metadata: {
            timestamp: $time,
            component: {type: "application", "bom-ref": "zct", name: "zct", version: $version,
                licenses: [{expression: "MIT OR Apache-2.0"}]}
        },
        components: [
            $metadata[0].packages[] | "\(.name) v\(.version)" as $key
            | select(any($parts[]; . == $key)) | select(.source != null)
            | {type: "library", "bom-ref": "pkg:cargo/\(.name)@\(.version)", name, version,
                purl: "pkg:cargo/\(.name)@\(.version)", licenses: [{expression: .license}],
                hashes: [{alg: "SHA-256", content: $checksums[0][$key]}]}
        ] | sort_by(.name)
    }'

#!/bin/sh
# third_party.sh: prints what of other projects is in the programs, with the licences under which it is used. TARGETS are
# the Rust targets that the programs are built for, else this machine's.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"

cat <<'TEXT'
zct and zctd contain parts of these projects. Where several licences are named, each applies by choice.

Rust's standard library, https://rust-lang.org: MIT OR Apache-2.0
Statically linked programs: musl, https://musl.libc.org: MIT (or, where a name ends in gnu, the GNU C library: LGPL-2.1)
TEXT
: "${TARGETS:=$(rustc --version --verbose | sed -n 's/^host: //p')}"
# shellcheck disable=SC2046 # words on purpose
list=$($CARGO tree --locked --package zct --package zctd --edges normal,no-proc-macro --prefix none --no-dedupe \
    $(printf -- '--target %s ' $TARGETS) --format '{p}|{l}|{r}' | grep . | grep -v '^zct' | sed 's/ (\*)//' | LC_ALL=C sort -u)
printf '%s\n' "$list" | sed 's/\([^ ]*\) v\([^ |]*\)|\([^|]*\)|\(.*\)/\1 \2, \4: \3/'
printf '%s\n' "$list" | while IFS='|' read -r package _; do
    name=${package% v*} version=${package#* v}
    found=
    for file in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$version"/LICEN[CS]E*; do
        [ -f "$file" ] || continue
        # One licence is enough where there is a choice, and Apache's is long and always the same.
        case $file in *APACHE* | *BSD*) continue ;; esac
        found=1
        printf '\n\n==== %s %s: %s\n\n' "$name" "$version" "${file##*/}"
        cat "$file"
    done
    if [ -z "$found" ]; then
        echo "third_party.sh: no licence file in $name $version" >&2
        exit 1
    fi
done

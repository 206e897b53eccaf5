#!/bin/bash
# with-libraries.sh ROOT FILE...: copies the shared libraries these programs need into ROOT.
# ldd fails on a static program, which needs none; that is not an error here.
set -euo pipefail
root=$1
shift
for program in "$@"; do
    { ldd "$program" 2>/dev/null || true; } | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\//) { print $i; break } }'
done | sort -u | while read -r library; do
    if [ ! -e "$root$library" ]; then
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    fi
done

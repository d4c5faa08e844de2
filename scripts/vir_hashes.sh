#!/usr/bin/env bash
# Which programs a change of the compiler changes: for each layer of bench/shapes.csv in both layouts, 300 random ones
# and every instruction set, the vir text is hashed and held against tests/data/vir_hashes.txt.
#
#   scripts/vir_hashes.sh            names the layers whose programs differ
#   scripts/vir_hashes.sh --bless    and writes their hashes: the commit says why, with times before and after
set -euo pipefail
cd "$(dirname "$0")/.."
stored=tests/data/vir_hashes.txt
[[ ${1:-} != --help ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0; }
before=$(mktemp)
cp "$stored" "$before"
trap 'rm -f "$before"' EXIT
CONVSMITH_BLESS=1 build/bin/convsmith_tests --gtest_brief=1 --gtest_filter='VirHashes.*' >/dev/null
diff "$before" "$stored" | sed -n 's/^> \([^ ]*\).*/\1/p' || true
[[ ${1:-} == --bless ]] || cp "$before" "$stored"

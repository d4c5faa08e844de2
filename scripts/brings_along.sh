#!/usr/bin/env bash
# What each way of using convsmith brings along, as the table of docs/packaging.md: the files themselves, stripped, and
# the shared libraries that are loaded with them (the C and C++ libraries included).
#
#   scripts/brings_along.sh [BUILD]      default: build, with all targets built
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# megabytes FILE...
megabytes() {
  local total=0 file
  for file in "$@"; do
    total=$((total + $(stat -L -c %s "$file")))
  done
  awk -v bytes="$total" 'BEGIN { printf (bytes < 10e6 ? "%.1f" : "%.0f"), bytes / 1e6 }'
}

# row WHAT FILE...: of the files together
row() {
  local what=$1 file stripped=() libraries=()
  shift
  for file in "$@"; do
    strip -o "$work/$(basename "$file")" "$file"
    stripped+=("$work/$(basename "$file")")
  done
  mapfile -t libraries < <(ldd "$@" | sed -nE 's/.* => (\/[^ ]+) .*/\1/p' | grep -v '/libconvsmith' | sort -u)
  echo "| $what | $(megabytes "${stripped[@]}") | ${#libraries[@]} | $(megabytes "${libraries[@]}") |"
}

"$build/bin/convsmith" compile examples/ecg/model.keras --emit obj,header -o "$work/ecg" >/dev/null
cc -O2 -I "$work" examples/plain_c/denoise.c "$work/ecg.o" -o "$work/artifact" -lm
shared=$(find "$build" -name 'libconvsmith.so.*.*.*' | head -1)

echo "| way | own files, MB | shared libraries | MB of those |"
echo "|---|---|---|---|"
row "a C program with an artifact (\`convsmith compile\`)" "$work/artifact"
row "a C++ program with the static library, layers" "$build/bin/ten_lines"
row "the same, model files" "$build/bin/ten_lines_model"
[[ -z $shared ]] || row "the shared library" "$shared"
row "in a process of its own while a model file is read: \`convsmith-h5dump\`" "$build/bin/convsmith-h5dump"
[[ ! -e $build/bin/libconvsmith_llvm.so ]] || row "if the LLVM back end is asked for: \`libconvsmith_llvm.so\`" "$build/bin/libconvsmith_llvm.so"
row "the program \`convsmith\`" "$build/bin/convsmith"

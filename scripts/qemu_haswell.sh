#!/usr/bin/env bash
# Runs the command line program on CPUs that this machine may not have, under QEMU's user mode: Haswell,
# where AVX2 code must run, and Nehalem, where only the baseline is left. Needs an x86-64 host.
#
#   scripts/qemu_haswell.sh [PROGRAM] [COUNT]     default: build/bin/convsmith, 40 random cases
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-build/bin/convsmith}
count=${2:-40}
qemu=$(command -v qemu-x86_64-static) || {
  echo "qemu-x86_64-static is missing; scripts/install_deps.sh installs it." >&2
  exit 1
}

on() {
  local cpu=$1
  shift
  "$qemu" -cpu "$cpu" -L / "$program" "$@" 2>&1 | grep -v "TCG doesn't support requested feature" || return "${PIPESTATUS[0]}"
}
expect() {
  grep -qE "$2" <<<"$1" || {
    printf '%s\nexpected: %s\n' "$1" "$2" >&2
    exit 1
  }
}

# The number of cases and of failures; everything if there are any.
verify() {
  local report
  if report=$(on "$@"); then
    head -1 <<<"$report"
  else
    printf '%s\n' "$report"
    exit 1
  fi
}

run=(run examples/ecg/layer.json --weights examples/ecg --input examples/ecg/input.npy)

echo "Haswell: automatic choice"
expect "$(on Haswell "${run[@]}")" '^back end +xbyak, avx2'
echo "Haswell: $count random cases, every back end on AVX2"
verify Haswell verify --random "$count" --isa avx2 --seed 1

echo "Nehalem: automatic choice"
expect "$(on Nehalem "${run[@]}")" '^back end +(llvm|interp), baseline'
echo "Nehalem: $((count / 4)) random cases on what is left"
verify Nehalem verify --random "$((count / 4))" --seed 2
echo "QEMU: all as expected"

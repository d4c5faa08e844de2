#!/usr/bin/env bash
# Installs what convsmith is built, tested and benchmarked with: packages of Debian 12 (or newer, where
# LLVM 19 is packaged), nothing else. Leaves installed packages alone; asks for sudo only if needed.
#
#   scripts/install_deps.sh            what scripts/test.sh needs: --run --llvm --tests
#   scripts/install_deps.sh PART...    what these need, each with --library
#
#   --library   building the library alone, with -DCONVSMITH_CLI=OFF -DCONVSMITH_MODELS=OFF -DCONVSMITH_DISASSEMBLER=OFF
#   --run       the program and model files; no other compiler, no emulator
#   --llvm      the LLVM back end
#   --tests     the tests, with emulators and compilers of other CPUs
#   --bench     -DCONVSMITH_BENCH=ON
#   --peers     the libraries that bench/peers compares with; alone, it adds them to what test.sh needs
#   --package   making .deb packages
#   --no-llvm   leaves the LLVM back end out
#   --list      prints the package names and installs nothing
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

library=(g++ cmake ninja-build pkg-config
         libxbyak-dev libfmt-dev libexpected-dev nlohmann-json3-dev libxxhash-dev libpthreadpool-dev)
run=(libcli11-dev libzydis-dev libsndfile1-dev libminizip-dev zlib1g-dev libhdf5-dev)
llvm=(llvm-19-dev)
tests=(libgtest-dev libgmock-dev librapidcheck-dev libzip-dev make binutils qemu-user-static gcc-aarch64-linux-gnu
       libc6-dev-arm64-cross)
bench=(libbenchmark-dev)
peers=(libdnnl-dev libxnnpack-dev libxsmm-dev)
package=(dpkg-dev file)

parts=()
list=false
without_llvm=false
for option in "$@"; do
  case $option in
    --library | --run | --llvm | --tests | --bench | --peers | --package) parts+=("${option#--}") ;;
    --no-llvm) without_llvm=true ;;
    --list) list=true ;;
    --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "usage: $0 [--library|--run|--llvm|--tests|--bench|--peers|--package]... [--no-llvm] [--list]" >&2; exit 2 ;;
  esac
done
[[ ${parts[*]} != "" && ${parts[*]} != peers ]] || parts+=(run llvm tests)
packages=("${library[@]}")
for part in "${parts[@]}"; do
  [[ $part != library ]] || continue
  [[ $part != llvm ]] || ! $without_llvm || continue
  # Tests and benchmarks call the program.
  [[ $part != tests && $part != bench && $part != peers ]] || packages+=("${run[@]}")
  declare -n names=$part
  packages+=("${names[@]}")
done
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | awk '!seen[$0]++')
if $list; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "This script needs apt. On another system, install what '$0 --list' names." >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "All ${#packages[@]} Debian packages are there."
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "Missing packages: ${missing[*]}. Install them as root, or install sudo." >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -q "$@" </dev/null
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
# A package list that is partly out of reach is no reason to stop: the installation below tells.
with_progress "Reading package lists" "$log" apt update || cat "$log" >&2
if ! with_progress "Installing" "$log" apt install -y --no-install-recommends "${missing[@]}"; then
  cat "$log" >&2
  echo "The packages could not be installed; apt's own words are above." >&2
  exit 1
fi
echo "Done."

#!/usr/bin/env bash
# Installs what convsmith is built, tested and benchmarked with: packages of Debian 12 (or newer, where
# LLVM 19 is packaged), nothing else. Leaves installed packages alone; asks for sudo only if needed.
#
#   scripts/install_deps.sh            everything that is needed
#   scripts/install_deps.sh --no-llvm  without the LLVM back end
#   scripts/install_deps.sh --peers    also the libraries that bench/peers compares with (not needed for anything else)
#   scripts/install_deps.sh --list     prints the package names and installs nothing
set -euo pipefail

toolchain=(g++ cmake ninja-build pkg-config)
libraries=(libxbyak-dev libfmt-dev libexpected-dev nlohmann-json3-dev libxxhash-dev libpthreadpool-dev
           libhdf5-dev)
command_line=(libcli11-dev libzydis-dev libzip-dev libsndfile1-dev)
tests=(libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev qemu-user-static make gcc-aarch64-linux-gnu
       libc6-dev-arm64-cross)
llvm=(llvm-19-dev)
peers=()
list=false

for option in "$@"; do
  case $option in
    --no-llvm) llvm=() ;;
    --peers) peers=(libdnnl-dev libxnnpack-dev libxsmm-dev) ;;
    --list) list=true ;;
    *) echo "usage: $0 [--no-llvm] [--peers] [--list]" >&2; exit 2 ;;
  esac
done
packages=("${toolchain[@]}" "${libraries[@]}" "${command_line[@]}" "${tests[@]}" "${llvm[@]}" "${peers[@]}")
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
apt update >"$log" 2>&1 || cat "$log" >&2
if ! apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  cat "$log" >&2
  echo "The packages could not be installed; apt's own words are above." >&2
  exit 1
fi
echo "Done."

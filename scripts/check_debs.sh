#!/usr/bin/env bash
# Makes the Debian packages and installs, uses and removes them in a bare Debian 12, made for it in a temporary folder.
# By hand or in continuous integration: it needs root, debootstrap, dpkg-dev and the network, and takes minutes.
#
#   scripts/check_debs.sh [FOLDER]      FOLDER: packages that are there already (default: made in build-deb/)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
((EUID == 0)) || fail "a folder can be made to a system by root only"
command -v debootstrap >/dev/null || fail "debootstrap is missing"

work=$(mktemp -d)
root=$work/debian
log=$work/log
clean_up() {
  umount "$root/proc" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

# step TITLE COMMAND...: its words only if it fails
step() {
  with_progress "$1" "$log" "${@:2}" || {
    tail -40 "$log" >&2
    fail "$1: ${*:2}"
  }
  echo "$1: done"
}
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
install() { # TITLE FILE-OR-PACKAGE...
  step "$1" inside apt-get install -q -y --no-install-recommends "${@:2}"
}
expect() { # PATTERN COMMAND...
  local out
  out=$(inside "${@:2}" 2>&1) || true
  grep -qE "$1" <<<"$out" || fail "'${*:2}' said '$out' and not '$1'"
}

packages=${1:-build-deb}
[[ -n ${1:-} ]] || step "Packages" cmake --workflow --preset deb
ls "$packages"/*.deb >/dev/null || fail "no packages in $packages"
step "Debian 12" debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
mount -t proc proc "$root/proc" 2>/dev/null || echo "Without /proc, which could not be mounted."
mkdir "$root/debs"
cp "$packages"/*.deb examples/ecg/model.keras examples/ten_lines.cpp examples/ten_lines_model.cpp "$root/debs"
find "$root" -xdev -name '*convsmith*' -not -path "$root/debs/*" >"$work/before"
version=$(sed -n 's/^project(convsmith VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
deb() { basename -a "$packages"/$1_*.deb | sed 's#^#/debs/#'; }  # $1 is a pattern

install "The library" "$(deb 'libconvsmith[0-9]*')"
foreign=$(inside dpkg-query -W -f '${Package}\n' | grep -E 'hdf5|curl|ldap|krb5|llvm' || true)
[[ -z $foreign ]] || fail "the library brings $foreign along"
install "The program" "$(deb convsmith)"
expect "convsmith $version" convsmith --version
expect "convsmith-hdf5" convsmith inspect /debs/model.keras
install "The reader of HDF5 files" "$(deb convsmith-hdf5)"
expect "75,?009" convsmith inspect /debs/model.keras
expect "llvm +The LLVM back end is not available" convsmith info
install "The LLVM back end" "$(deb libconvsmith-llvm)"
expect "llvm +ok" convsmith info
expect "convsmith.1.gz|convsmith.1" dpkg -L convsmith
install "The headers" "$(deb libconvsmith-dev)" g++ pkg-config cmake make
inside sh -c 'cd /debs && g++ -std=c++20 ten_lines.cpp $(pkg-config --cflags --libs convsmith) -o lines' ||
  fail "pkg-config"
expect "^4\.34$" /debs/lines
mkdir "$root/debs/project"
cat >"$root/debs/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(other LANGUAGES CXX)
find_package(convsmith 0.1 CONFIG REQUIRED)
add_executable(lines ../ten_lines.cpp)
target_link_libraries(lines PRIVATE convsmith::convsmith)
convsmith_add_kernel(NAME ecg SPEC ../model.keras TARGETS avx2)
END
inside sh -c 'cd /debs/project && cmake -B build . && cmake --build build' >"$log" 2>&1 || fail "$(tail -20 "$log")"
expect "^4\.34$" /debs/project/build/lines

step "Removal" inside sh -c "dpkg-query -W -f '\${Package}\n' | grep convsmith | xargs apt-get purge -q -y"
left=$(find "$root" -xdev -name '*convsmith*' -not -path "$root/debs/*" | grep -vxF -f "$work/before" || true)
[[ -z $left ]] || fail "left behind: $left"
echo "All packages install, work and go."

#!/usr/bin/env bash
# Makes the Debian packages and installs, uses and removes them in a bare Debian 12, made for it in a temporary folder;
# then builds the library alone in another one, with nothing but the packages that it needs.
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
  umount "$work/debian/proc" "$work/bare/proc" 2>/dev/null || true
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

bring_nothing() { # WHO PATTERN
  local foreign
  foreign=$(inside dpkg-query -W -f '${Package}\n' | grep -E "$2" || true)
  [[ -z $foreign ]] || fail "$1 brings $foreign along"
}

packages=${1:-build-deb}
[[ -n ${1:-} ]] || step "Packages" cmake --workflow --preset deb
ls "$packages"/*.deb >/dev/null || fail "no packages in $packages"
step "Debian 12" debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
mkdir -p "$root/debs/examples/ecg"
cp "$packages"/*.deb examples/ten_lines.cpp examples/ten_lines_model.cpp "$root/debs"
cp examples/ecg/model.keras "$root/debs/examples/ecg"
sed -n '/^```c$/,/^```$/{/^```/d;p}' docs/packaging.md >"$root/debs/from_c.c"
cp -a "$root" "$work/bare"
mount -t proc proc "$root/proc" 2>/dev/null || echo "Without /proc, which could not be mounted."
find "$root" -xdev -name '*convsmith*' -not -path "$root/debs/*" >"$work/before"
version=$(sed -n 's/^project(convsmith VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
deb() { basename -a "$packages"/$1_*.deb | sed 's#^#/debs/#'; }  # $1 is a pattern

install "The library" "$(deb 'libconvsmith[0-9]*')"
bring_nothing "the library" 'hdf5|curl|ldap|krb5|llvm'
install "The program" "$(deb convsmith)"
expect "convsmith $version" convsmith --version
expect "convsmith-hdf5" convsmith inspect /debs/examples/ecg/model.keras
install "The reader of HDF5 files" "$(deb convsmith-hdf5)"
expect "75,?009" convsmith inspect /debs/examples/ecg/model.keras
expect "llvm +The LLVM back end is not available" convsmith info
install "The LLVM back end" "$(deb libconvsmith-llvm)"
expect "llvm +ok" convsmith info
expect "llvm" convsmith compare "Conv1D(2, 2, input_shape=(8, 2))"
expect "convsmith.1.gz|convsmith.1" dpkg -L convsmith
install "The headers" "$(deb libconvsmith-dev)" g++ pkg-config cmake make
inside sh -c 'cd /debs && g++ -std=c++20 ten_lines.cpp $(pkg-config --cflags --libs convsmith) -o lines' ||
  fail "pkg-config"
expect "^4\.34$" /debs/lines
inside sh -c 'cd /debs && g++ -std=c++20 ten_lines_model.cpp $(pkg-config --cflags --libs convsmith) -o model &&
  gcc -std=c99 from_c.c $(pkg-config --cflags --libs convsmith) -o from_c' || fail "pkg-config: a model, and C"
expect "^[0-9]+ passes over memory: ok$" sh -c "cd /debs && ./model"
expect "^4\.34$" /debs/from_c
mkdir "$root/debs/project"
cat >"$root/debs/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(other LANGUAGES CXX)
find_package(convsmith 0.1 CONFIG REQUIRED)
add_executable(lines ../ten_lines.cpp)
target_link_libraries(lines PRIVATE convsmith::convsmith)
convsmith_add_kernel(NAME ecg SPEC ../examples/ecg/model.keras TARGETS avx2)
END
inside sh -c 'cd /debs/project && cmake -B build . && cmake --build build' >"$log" 2>&1 || fail "$(tail -20 "$log")"
expect "^4\.34$" /debs/project/build/lines
inside sh -c 'test -n "$(find /debs/project/build -name ecg.h -size +0)"' || fail "convsmith_add_kernel made no header"

step "Removal" inside sh -c "dpkg-query -W -f '\${Package}\n' | grep convsmith | xargs apt-get purge -q -y"
left=$(find "$root" -xdev -name '*convsmith*' -not -path "$root/debs/*" | grep -vxF -f "$work/before" || true)
[[ -z $left ]] || fail "left behind: $left"
step "The rest of the system" inside apt-get check

# What the library alone needs is what docs/packaging.md and install_deps.sh say, and nothing that happens to be there.
root=$work/bare
mount -t proc proc "$root/proc" 2>/dev/null || true
mkdir "$root/source"
tar -c --exclude-vcs --exclude='./build*' . | tar -x -C "$root/source"
mapfile -t needs < <(scripts/install_deps.sh --library --list)
install "What the library needs" "${needs[@]}"
bring_nothing "what the library needs" 'hdf5|llvm|minizip|libzip|zydis|sndfile|cli11|gtest|rapidcheck'
step "The library alone" inside sh -c 'cmake -S /source -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCONVSMITH_LLVM=OFF -DCONVSMITH_MODELS=OFF -DCONVSMITH_DISASSEMBLER=OFF -DCONVSMITH_CLI=OFF &&
  cmake --build /build --target convsmith_installable && cmake --install /build --prefix /opt/convsmith'
inside sh -c 'cd /debs && export PKG_CONFIG_PATH=$(dirname "$(find /opt/convsmith -name convsmith.pc)") &&
  g++ -std=c++20 ten_lines.cpp $(pkg-config --cflags --libs convsmith) -o lines' || fail "pkg-config of the library alone"
expect "^4\.34$" /debs/lines
echo "The library alone builds with its own packages."
echo "All packages install, work and go."

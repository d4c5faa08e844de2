#!/usr/bin/env bash
# build.sh TEST: how convsmith is configured, installed and removed, and what its scripts say meanwhile. One of the
# functions test_* below; the environment is that of check.sh.
set -euo pipefail

unset DESTDIR CMAKE_PREFIX_PATH PKG_CONFIG_PATH
rm -rf "${WORK:?}/build_$1"
mkdir -p "$WORK/build_$1"
cd "$WORK/build_$1"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# configure FOLDER ARGUMENTS...: with nothing but the packages that the smallest library needs.
configure() {
  local name hidden=()
  for name in CLI11 zydis Zydis GTest rapidcheck benchmark LLVM HDF5 hdf5 libzip dnnl; do
    hidden+=("-DCMAKE_DISABLE_FIND_PACKAGE_$name=ON")
  done
  mkdir -p pc
  cp "$(pkg-config --variable=pcfiledir libxxhash)/libxxhash.pc" pc
  PKG_CONFIG_LIBDIR=$PWD/pc "$CMAKE" -S "$SOURCE" -B "$1" -G "$GENERATOR" -DCMAKE_CXX_COMPILER="$CXX" \
    -DCMAKE_C_COMPILER="$CC" --no-warn-unused-cli "${hidden[@]}" "${@:2}"
}

nothing=(-DCONVSMITH_LLVM=OFF -DCONVSMITH_DISASSEMBLER=OFF -DCONVSMITH_MODELS=OFF -DCONVSMITH_CLI=OFF)

test_minimal() {
  configure build "${nothing[@]}" >log.txt 2>&1 || fail "$(tail -20 log.txt)"
  [[ ! -d build/tests && ! -d build/cli ]] || fail "tests or program are built"
  if [[ $GENERATOR == Ninja ]]; then
    "$CMAKE" --build build -- -n convsmith_installable >plan.txt
    ! grep LINK_LIBRARIES build/build.ninja | grep -iE 'hdf5|minizip|sndfile|zydis|zycore|llvm|gtest|benchmark' ||
      fail "something else is linked"
  fi
  # Nothing else is asked for by what is off, and by name what is missing of what is on.
  local option wanted
  while read -r option wanted; do
    ! configure build_other "${nothing[@]}" "-D$option=ON" >log.txt 2>&1 || fail "$option needs nothing"
    tr -s '\n ' ' ' <log.txt | grep -qE "convsmith needs these, which were not found: $wanted\. " ||
      fail "$option does not say that it needs $wanted: $(tail -20 log.txt)"
  done <<'END'
CONVSMITH_DISASSEMBLER zydis
CONVSMITH_MODELS minizip, hdf5 \(of CONVSMITH_MODELS\)
CONVSMITH_CLI CLI11 \(of CONVSMITH_CLI\), sndfile \(of CONVSMITH_CLI\), minizip \(of CONVSMITH_CLI\)
END
  for option in CONVSMITH_TESTS CONVSMITH_BENCH CONVSMITH_PEERS; do
    ! configure build_other "${nothing[@]}" -DCONVSMITH_TESTS=OFF "-D$option=ON" >log.txt 2>&1 || fail "$option needs no program"
    tr -s '\n ' ' ' <log.txt | grep -q 'need CONVSMITH_CLI, which is off' || fail "$(tail -20 log.txt)"
    rm -r build_other
  done
}

# Another project without the packages of the program still gets the library.
test_minimal_subproject() {
  cat >CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES CXX)
add_subdirectory(\${CONVSMITH_SOURCE} convsmith)
if(TARGET convsmith::cli)
  message(FATAL_ERROR "The program can't be built here.")
endif()
END
  local source=$SOURCE
  SOURCE=$PWD configure build "${nothing[@]:0:3}" -DCONVSMITH_SOURCE="$source" >log.txt 2>&1 || fail "$(tail -20 log.txt)"
  grep -q "convsmith's program and convsmith_add_kernel are left out; they need CLI11" log.txt || fail "$(cat log.txt)"
}

test_not_built() {
  configure build "${nothing[@]}" >log.txt 2>&1 || fail "$(tail -20 log.txt)"
  ! "$CMAKE" --install build --prefix "$PWD/prefix" >log.txt 2>&1 || fail "installed what was not built"
  tr -s '\n ' ' ' <log.txt | grep -q "is not built yet, and nothing was installed.*--target convsmith_installable" ||
    fail "$(cat log.txt)"
  [[ ! -e prefix ]] || fail "$(find prefix) is there all the same"
}

# Each file belongs to one component; what is removed is what was installed.
test_components() {
  local component all
  "$CMAKE" --install "$BUILD" --prefix "$PWD/whole" >/dev/null
  for component in library development program llvm hdf5; do
    "$CMAKE" --install "$BUILD" --prefix "$PWD/$component" --component "$component" >/dev/null
    [[ ! -d $component ]] || (cd "$component" && find . -type f -o -type l) >>parts.txt
  done
  all=$(cd whole && find . -type f -o -type l | sort)
  [[ $(sort parts.txt) == "$all" ]] || fail "$(diff <(sort parts.txt) <(echo "$all"))"
  [[ -s program/share/man/man1/convsmith.1 ]] || fail "the manual page is missing"
  for component in bash-completion/completions/convsmith zsh/site-functions/_convsmith fish/vendor_completions.d/convsmith.fish; do
    [[ -s program/share/$component ]] || fail "$component is missing"
  done
  "$CMAKE" --install "$BUILD" --prefix "$PWD/whole" >/dev/null
  echo theirs >whole/include/other.h
  "$CMAKE" --build "$BUILD" --target uninstall >log.txt
  [[ $(find whole -not -type d) == whole/include/other.h ]] || fail "left: $(find whole -not -type d)"
  [[ -z $(find whole -path '*convsmith*') ]] || fail "left: $(find whole -path '*convsmith*')"
  ! "$CMAKE" --build "$BUILD" --target uninstall >log.txt 2>&1 || fail "uninstalled twice"
  grep -q "Nothing was installed" log.txt || fail "$(cat log.txt)"
}

# Nothing that is shipped tells where it was built.
test_paths() {
  local file
  for file in "$SHARED" "$BUILD"/bin/convsmith{,-h5dump} "$BUILD"/bin/libconvsmith_llvm.so "$BUILD"/libconvsmith.a; do
    [[ -e $file ]] || continue
    ! grep -aoF -m3 -e "$SOURCE" -e "$BUILD" "$file" || fail "$file has the paths above"
  done
  grep -aq 'frontend/keras/layer_class\.cpp' "$SHARED" || fail "where a CHECK stands is not said at all"
}

test_progress() {
  printf 'for i in 1 2 3; do echo "[$i/3] Building x"; sleep 1; done; exit 3\n' >steps.sh
  cat >show.sh <<END
set -euo pipefail
. "$SOURCE/scripts/progress.sh"
code=0
with_progress Building log.txt bash steps.sh || code=\$?
echo "code \$code"
END
  CONVSMITH_PROGRESS_SECONDS=1 bash show.sh >lines.txt
  grep -qE '^Building: [1-3] of 3, 0:0[1-3] min$' lines.txt && grep -qx 'code 3' lines.txt || fail "$(cat lines.txt)"
  bash show.sh >lines.txt  # too short for a line a minute
  [[ $(cat lines.txt) == "code 3" ]] || fail "$(cat lines.txt)"
  command -v script >/dev/null || return 0
  script -qc "bash show.sh" /dev/null </dev/null >terminal.txt
  grep -qE 'Building \[#+ +\] [12] of 3, 0:0[1-3] min' terminal.txt || fail "$(cat -v terminal.txt)"
}

# What a part does not need it does not install.
test_parts() {
  local install=$SOURCE/scripts/install_deps.sh
  "$install" --library --list >library.txt
  "$install" --run --list >run.txt
  "$install" --list >all.txt
  ! grep -E 'qemu|aarch64|arm64|gtest|gmock|rapidcheck|llvm|benchmark|libzip' run.txt || fail "--run does not need these"
  ! grep -E 'hdf5|minizip|sndfile|cli11|zydis|llvm' library.txt || fail "--library does not need these"
  grep -q qemu all.txt && grep -q llvm all.txt || fail "the tests need more"
  ! "$install" --no-llvm --list | grep llvm || fail "--no-llvm"
  "$install" --peers --list | grep -q dnnl || fail "--peers"
  [[ -z $(comm -23 <(sort library.txt) <(sort run.txt)) && -z $(comm -23 <(sort run.txt) <(sort all.txt)) ]] ||
    fail "a part lacks something"
  ! "$install" --strange --list 2>/dev/null || fail "--strange is accepted"
}

"test_$1"

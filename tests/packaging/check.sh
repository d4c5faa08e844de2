#!/usr/bin/env bash
# check.sh TEST: one of the functions test_* below. The environment (set in CMakeLists.txt) says where the
# sources and the build are and with what to compile. Everything is written below $WORK.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
prefix="$WORK/a prefix that moved"  # with spaces, as folders of others may have
export CC CXX
unset CONVSMITH_LLVM_MODULE CONVSMITH_H5_HELPER CONVSMITH_MAX_ISA LD_LIBRARY_PATH CMAKE_PREFIX_PATH
read -ra flags <<<"${FLAGS:-}"
read -ra options <<<"$OPTIONS"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect_output WANTED COMMAND...
expect_output() {
  local got
  got=$("${@:2}") || fail "exit code $? of ${*:2}"
  [[ $got == "$1" ]] || fail "'${*:2}' printed '$got' and not '$1'"
}

# clean_folder NAME: an empty folder of this test, printed.
clean_folder() {
  rm -rf "${WORK:?}/$1"
  mkdir -p "$WORK/$1"
  echo "$WORK/$1"
}

# The C program that docs/packaging.md shows.
write_c_example() {
  sed -n '/^```c$/,/^```$/{/^```/d;p}' "$SOURCE/docs/packaging.md" >"$1"
  [[ -s $1 ]] || fail "docs/packaging.md has no C example"
}

# configure SOURCE BUILD ARGUMENTS...
configure() {
  "$CMAKE" --no-warn-unused-cli -S "$1" -B "$2" -G "$GENERATOR" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_CXX_FLAGS="${FLAGS:-}" -DCMAKE_C_FLAGS="${FLAGS:-}" "${@:3}"
}

test_install() {
  local first
  first=$(clean_folder prefix)
  rm -rf "$prefix"
  "$CMAKE" --install "$BUILD" --prefix "$first" >/dev/null
  mv "$first" "$prefix"
  cd "$prefix"
  local file
  for file in bin/convsmith "$LIBDIR"/libconvsmith.* include/convsmith/{convsmith.h,convsmith.hpp,model.hpp} \
    "$LIBDIR"/pkgconfig/convsmith.pc "$LIBDIR"/cmake/convsmith/convsmith-config.cmake share/doc/convsmith/LICENSE; do
    [[ -s $file ]] || fail "$file was not installed"
  done
  # Nothing internal, nothing of other folders.
  local strange
  strange=$(find . -type f | grep -vE "^\./(bin/convsmith|libexec/convsmith/convsmith-h5dump|$LIBDIR/libconvsmith(_llvm)?\.[a-z0-9.]+|include/convsmith/[a-z_]+\.hp?p?|$LIBDIR/pkgconfig/convsmith\.pc|$LIBDIR/cmake/convsmith/[A-Za-z-]+\.cmake|share/doc/convsmith/LICENSE|share/(man/man1|bash-completion|zsh|fish)/.*convsmith[a-z0-9.]*)$" || true)
  [[ -z $strange ]] || fail "these should not be installed: $strange"
  ! grep -rlF -e "$SOURCE" -e "$BUILD" "$LIBDIR/cmake" "$LIBDIR/pkgconfig" include ||
    fail "these files know where convsmith was built"
  bin/convsmith --version
  if [[ $MODULE == 1 ]]; then
    # The module of this prefix, and no other one.
    bin/convsmith compare "Conv1D(2, 2, input_shape=(8, 2))" >compare.txt || fail "$(cat compare.txt)"
    grep -q llvm compare.txt || fail "the installed program does not find its LLVM module: $(cat compare.txt)"
    rm compare.txt
  fi
  if [[ $MODELS == 1 ]]; then
    # The reader of HDF5 files of this prefix; without it, one sentence.
    bin/convsmith inspect "$SOURCE/examples/ecg/model.keras" >inspect.txt
    mv libexec libexec_elsewhere
    ! bin/convsmith inspect "$SOURCE/examples/ecg/model.keras" 2>inspect.txt || fail "read HDF5 without its reader"
    grep -q "^error: .*convsmith-h5dump.*$PWD/libexec/convsmith/convsmith-h5dump.*CONVSMITH_H5_HELPER" inspect.txt ||
      fail "$(cat inspect.txt)"
    CONVSMITH_H5_HELPER=libexec_elsewhere/convsmith/convsmith-h5dump bin/convsmith inspect \
      "$SOURCE/examples/ecg/model.keras" >inspect.txt
    mv libexec_elsewhere libexec
    rm inspect.txt
  fi
}

test_find_package() {
  local work
  work=$(clean_folder find_package)
  write_c_example "$work/from_c.c"
  configure "$here/find_package" "$work/build" -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLES="$SOURCE/examples" \
    -DC_EXAMPLE="$work/from_c.c"
  "$CMAKE" --build "$work/build"
  expect_output 4.34 "$work/build/from_cpp"
  expect_output 4.34 "$work/build/from_c"
  # Another minor version is another interface.
  ! configure "$here/find_package" "$work/build2" -DCMAKE_PREFIX_PATH="$prefix" -DVERSION=9.9 2>/dev/null ||
    fail "version 9.9 was found"
}

test_pkg_config() {
  local work
  work=$(clean_folder pkg_config)
  export PKG_CONFIG_PATH="$prefix/$LIBDIR/pkgconfig"
  write_c_example "$work/from_c.c"
  local static text from_package=()
  for static in "" --static; do
    # Debian's packages name static libraries (libbz2 of libzip) that they do not install.
    if [[ -n $static ]] && ! "$CC" -x c - -x none $(pkg-config --libs --static $(pkg-config --print-requires convsmith |
      cut -d' ' -f1)) -o "$work/probe" <<<'int main(void) { return 0; }' 2>/dev/null; then
      echo "libraries for static linking are missing: not tried"
      continue
    fi
    text=$(pkg-config --cflags --libs $static convsmith)
    eval "from_package=($text)"  # pkg-config quotes for a shell
    "$CXX" "${flags[@]}" -std=c++20 "$SOURCE/examples/ten_lines.cpp" -o "$work/from_cpp" "${from_package[@]}"
    "$CC" "${flags[@]}" -std=c99 -pedantic -Wall -Wextra -Werror "$work/from_c.c" -o "$work/from_c" \
      "${from_package[@]}"
    # Finds nothing to do where the library is static.
    expect_output 4.34 env LD_LIBRARY_PATH="$prefix/$LIBDIR" "$work/from_cpp"
    expect_output 4.34 env LD_LIBRARY_PATH="$prefix/$LIBDIR" "$work/from_c"
  done
  expect_output "$("$prefix/bin/convsmith" --version)" echo "convsmith $(pkg-config --modversion convsmith)"
}

test_shared_from_c() {
  local work folder
  work=$(clean_folder shared_from_c)
  folder=$(dirname "$SHARED")
  write_c_example "$work/from_c.c"
  "$CC" "${flags[@]}" -std=c99 -pedantic -Wall -Wextra -Werror -I "$SOURCE/include" "$work/from_c.c" \
    -o "$work/from_c" -L "$folder" -lconvsmith
  expect_output 4.34 env LD_LIBRARY_PATH="$folder" "$work/from_c"
  readelf -d "$SHARED" | grep -qE 'SONAME.*libconvsmith\.so\.[0-9]+\.[0-9]+\]' || fail "the soname has no version"
}

# The libraries that a program brings along, by name.
libraries_of() {
  ldd "$1" | sed -nE 's/^\s*(.*\/)?(lib[A-Za-z0-9+_-]+)\.so.*/\2/p' | sort -u
}

# Nothing of HDF5 and what it needs, nothing of networks and encryption: whatever is linked is on this list.
# Whatever a C++ program does with the public classes, the shared library has it: copies, moves and ends included.
test_shared_from_cpp() {
  local work folder example
  work=$(clean_folder shared_from_cpp)
  folder=$(dirname "$SHARED")
  cat >"$work/values.cpp" <<'END'
#include <convsmith/convsmith.hpp>
#include <convsmith/model.hpp>

template <class T>
void use(const T& given) {
  T copy = given, moved = std::move(copy);
  copy = moved;
  moved = std::move(copy);
}

int main() {
  const auto layer = convsmith::compile("Conv1D(2, 3, input_shape=(None, 2))");
  if (!layer) return 1;
  use(*layer);
  use(convsmith::PackedWeights());
  use(layer->spec());
  convsmith::ThreadPool pool(1), other = std::move(pool);
  pool = std::move(other);
  convsmith::Engine engine;
  if (!engine.compile(layer->spec())) return 1;
  return pool.threads() == 1 ? 0 : 1;
}
END
  for example in "$work/values" "$SOURCE"/examples/{ten_lines,ten_lines_model,dense,regularizers}; do
    "$CXX" "${flags[@]}" -std=c++20 -Wall -Wextra -Werror -I "$SOURCE/include" "$example.cpp" \
      -o "$work/$(basename "$example")" -L "$folder" -lconvsmith
  done
  LD_LIBRARY_PATH="$folder" "$work/values" || fail "values are not what they were"
  expect_output 4.34 env LD_LIBRARY_PATH="$folder" "$work/ten_lines"
}

test_links() {
  local file strange own="libc|libm|libstdc\\+\\+|libgcc_s|libpthread|libdl|libfmt|libxxhash|libpthreadpool|libcpuinfo|libZydis|libZycore|libminizip|libz"
  for file in "$SHARED" "$BUILD/bin/convsmith" "$BUILD"/bin/ten_lines*; do
    strange=$(libraries_of "$file" | grep -vxE "$own" || true)
    # The program reads and writes .wav files.
    [[ $file != */convsmith ]] || strange=$(grep -vxE "libsndfile|libFLAC|libvorbis|libvorbisenc|libopus|libogg|libmpg123|libmp3lame" <<<"$strange" || true)
    [[ -z $strange ]] || fail "$file is linked with" $strange
  done
}

# What the library shows is what the headers mark, by name.
test_symbols() {
  local headers="$SOURCE/include/convsmith" classes functions c_functions symbols strange missing
  classes=$(sed -nE 's/^class CONVSMITH_API ([A-Za-z0-9]+).*/\1/p' "$headers"/*.hpp | paste -sd'|')
  functions=$(sed -nE 's/^CONVSMITH_API .*[ &*]([a-z_]+)\(.*/\1/p' "$headers"/*.hpp | sort -u | paste -sd'|')
  c_functions=$(tr '\n' ' ' <"$headers/convsmith.h" | grep -oE 'CONVSMITH_API [a-z0-9_ *]+\(' |
    sed -E 's/.*[ *]([a-z_]+)\($/\1/' | sort -u)
  [[ $(wc -l <<<"$c_functions") -ge 20 ]] || fail "the C functions are not found in the header"
  symbols=$(nm -D --defined-only "$SHARED" | awk '{ print $NF }' | sed 's/@.*//' | c++filt | sort -u)
  missing=$(comm -23 <(echo "$c_functions") <(echo "$symbols"))
  [[ -z $missing ]] || fail "not exported: $missing"
  strange=$(grep -vxF -f <(echo "$c_functions") <<<"$symbols" | grep -vE \
    "^((vtable|typeinfo|typeinfo name) for )?convsmith::(layers::)?($classes)(<[^>]*>)?(::|$)|^convsmith::($functions)(\[abi:[a-z0-9]+\])?\(" || true)
  [[ -z $strange ]] || fail "exported, but not marked CONVSMITH_API: $strange"
  ! grep -E '::(Impl|State)\b' <<<"$symbols" || fail "these are nobody's business"
  grep -q '^convsmith::CompiledLayer::run(' <<<"$symbols" || fail "CompiledLayer::run is not exported"
}

# A stand-in for the program tells what it was asked for and writes an object and a header.
test_add_kernel() {
  local work
  work=$(clean_folder add_kernel)
  local project="$work/project" build="$work/build"
  cp -r "$here/add_kernel" "$project"
  configure "$project" "$build" -DADD_KERNEL="$SOURCE/cmake/ConvsmithAddKernel.cmake"
  "$CMAKE" --build "$build"
  expect_output "42 42" "$build/program"
  local ecg other
  ecg="compile $project/spec.json --name ecg --weights $project/CMakeLists.txt --target avx2,avx512 --backend xbyak --emit obj,header -o $build/convsmith_kernels/ecg/ecg"
  other="compile Conv1D(1, 2, input_shape=(None, 1)) --name other --emit obj,header -o $build/convsmith_kernels/other/other"
  expect_output "$ecg"$'\n'"$other" sort "$build/calls.txt"
  # A second build has nothing to do; a newer spec is compiled again, and only that one.
  "$CMAKE" --build "$build"
  expect_output "$ecg"$'\n'"$other" sort "$build/calls.txt"
  sleep 1  # make sees whole seconds
  touch "$project/spec.json"
  "$CMAKE" --build "$build"
  expect_output "$ecg"$'\n'"$ecg"$'\n'"$other" sort "$build/calls.txt"
  local bad
  for bad in "NAME x" "SPEC y" "NAME a-b SPEC y" "NAME x SPEC y STRANGE z" "NAME x SPEC"; do
    ! configure "$project" "$work/bad" -DADD_KERNEL="$SOURCE/cmake/ConvsmithAddKernel.cmake" \
      -DBAD="$bad" >"$work/bad.txt" 2>&1 || fail "convsmith_add_kernel($bad) was accepted"
    grep -q convsmith_add_kernel "$work/bad.txt" || fail "no sentence: $(cat "$work/bad.txt")"
  done
}

# As a folder of another project. The library itself is not compiled once more: that would take minutes.
test_subproject() {
  local work
  work=$(clean_folder subproject)
  configure "$here/subproject" "$work/build" -DCONVSMITH_SOURCE="$SOURCE" "${options[@]}"
  "$CMAKE" --build "$work/build" --target from_cpp_object
  expect_output "" find "$work/build" -maxdepth 2 -name 'convsmith_tests*' -not -path '*/CMakeFiles/*'
}

test_header() {
  local work
  work=$(clean_folder header)
  local header
  for header in "$SOURCE"/include/convsmith/*.h; do
    printf '#include "convsmith/%s"\nextern int nothing;\n' "$(basename "$header")" >"$work/use.c"
    for standard in c99 c11 c17; do
      "$CC" -std=$standard -pedantic -Wall -Wextra -Werror -Wstrict-prototypes -fsyntax-only -I "$SOURCE/include" \
        "$work/use.c"
    done
    "$CXX" -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -I "$SOURCE/include" -x c++ "$work/use.c"
  done
  # Each C++ header stands alone.
  for header in "$SOURCE"/include/convsmith/*.hpp; do
    echo "#include \"convsmith/$(basename "$header")\"" >"$work/use.cpp"
    "$CXX" -std=c++20 -Wall -Wextra -Wconversion -Werror -fsyntax-only -I "$SOURCE/include" "$work/use.cpp"
  done
}

# What including the umbrella costs: beside what its values are made of, few lines. Older standards get one
# sentence.
test_header_cost() {
  local work lines known
  work=$(clean_folder header_cost)
  count_lines() { printf '#include <%s>\n' "$@" | "$CXX" -std=c++20 -E -P -I "$SOURCE/include" -x c++ - | wc -l; }
  known=$(count_lines memory string string_view vector optional variant span tl/expected.hpp)
  for umbrella in convsmith model; do
    lines=$(count_lines "convsmith/$umbrella.hpp")
    ((lines <= known + 2000)) || fail "$umbrella.hpp brings $((lines - known)) lines beside those that it needs"
    ! echo "#include <convsmith/$umbrella.hpp>" | "$CXX" -std=c++20 -M -I "$SOURCE/include" -x c++ - |
      grep -E '/(iostream|sstream|map|regex|algorithm|chrono|mutex|thread|atomic)( |$)' || fail "$umbrella.hpp brings these"
  done
  for standard in c++11 c++14 c++17; do
    for header in convsmith model layers; do
      ! echo "#include <convsmith/$header.hpp>" | "$CXX" -std=$standard -fsyntax-only -I "$SOURCE/include" -x c++ - 2>"$work/said" ||
        fail "$header.hpp is C++20, but $standard takes it"
      grep -q 'need C++20: compile with -std=c++20' "$work/said" || fail "$standard does not say what is wrong"
      (($(wc -l <"$work/said") <= 12)) || fail "$standard says too much: $(cat "$work/said")"
    done
  done
}

# The examples in the comments that head the public headers, and the code in the documents.
test_examples_in_text() {
  local work file number
  work=$(clean_folder examples_in_text)
  local parameters="float *kernel_data, float *bias_data, const float *input, float *output, int64_t batch, int64_t steps"
  for file in "$SOURCE"/include/convsmith/*.h*; do
    awk '!/^\/\// { exit } /^\/\/   / { print substr($0, 6); begun = 1; next } begun { exit }' "$file" >"$work/lines"
    [[ -s $work/lines ]] || continue
    if [[ $file == *.hpp ]]; then
      {
        printf '#include "convsmith/%s"\n' "$(basename "$file")" convsmith.hpp tensor.hpp
        echo '#include <cstdio>'
        echo "using namespace convsmith; int example($parameters, const std::vector<float>& kernel, const std::vector<float>& bias, const Tensor& x, double total) {"
        cat "$work/lines"
        echo 'return 0; }'
      } >"$work/$(basename "$file").cpp"
    else
      {
        printf '#include <stdio.h>\n#include "convsmith/%s"\n' "$(basename "$file")"
        echo "int example(${parameters//_data/}) {"
        cat "$work/lines"
        echo 'return 0; }'
      } >"$work/$(basename "$file").c"
    fi
  done
  for file in "$SOURCE"/README.md "$SOURCE"/docs/*.md "$SOURCE"/examples/*/README.md; do
    [[ -s $file ]] || continue
    awk -v stem="$work/$(basename "$file")" '
      /^```(c|cpp)$/ { out = stem "." ++count "." substr($0, 4); next }
      /^```/ { if (out) close(out); out = "" }
      out { print > out }' "$file"
  done
  number=$(find "$work" -name '*.c' -o -name '*.cpp' | wc -l)
  ((number >= 8)) || fail "only $number examples were found"
  for file in "$work"/*.cpp; do
    "$CXX" -std=c++20 -fsyntax-only -I "$SOURCE/include" "$file" || fail "this example does not compile: $(basename "$file")"
  done
  for file in "$work"/*.c; do
    "$CC" -std=c99 -fsyntax-only -Werror=implicit-function-declaration -Werror=incompatible-pointer-types \
      -I "$SOURCE/include" "$file" || fail "this example does not compile: $(basename "$file")"
  done
}

declare -F "test_$1" >/dev/null || fail "there is no test $1"
"test_$1"

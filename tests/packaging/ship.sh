#!/usr/bin/env bash
# ship.sh TEST: artifacts as others link and run them, against the library. One of the functions test_* below;
# the environment is that of check.sh.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)/ship
convsmith=$BUILD/bin/convsmith
model=$SOURCE/examples/ecg/model.keras
skipped=77
export CONVSMITH_H5_HELPER=$BUILD/bin/convsmith-h5dump  # the shared library lies elsewhere
unset CONVSMITH_LLVM_MODULE CONVSMITH_MAX_ISA LD_LIBRARY_PATH
targets=avx2,avx512
[[ $MODULE == 0 ]] || targets=baseline,avx2,avx512
rm -rf "${WORK:?}/ship_$1"
mkdir -p "$WORK/ship_$1"
cd "$WORK/ship_$1"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# What the library computes, as text: expected SPEC.
expected() {
  [[ -x ./host ]] || "$CC" -std=c99 -O1 -I "$SOURCE/include" -I "$here" "$here/host.c" "$SHARED" \
    -Wl,-rpath,"$(dirname "$SHARED")" -o host
  ./host "$1"
}

# Makes shipped.o, .h and what else KINDS name from SPEC.
ship() { # SPEC KINDS [OPTION..]
  "$convsmith" compile "$1" --rules any --name shipped --emit "$2,header" -o shipped --json "${@:3}" >report.json ||
    fail "compile $1"
}

# How many arrays NAME_pack takes.
arrays() {
  grep -oE 'int shipped_pack\(.*' shipped.h | grep -o 'const float' | wc -l
}

# link COMPILER LANGUAGE FILE: the program ./run
link() {
  "$1" -x "$2" -O1 -Wall -Wextra -Werror -DARRAYS="$(arrays)" -I . -I "$here" "$here/artifact.c" -x none "$3" \
    -Wl,-rpath,"$PWD" -o run
}

expect_equal() { # WHAT
  ./run >got.txt || fail "$1: exit code $?"
  cmp -s got.txt wanted.txt || fail "$1 differs: $(diff wanted.txt got.txt | head -4)"
}

expect_nothing_undefined() {
  local names
  names=$(nm -u "$1" | grep -vE ' (memcpy|memset)$' | grep -E ' [UwvW] ' || true)
  [[ -z $names ]] || fail "$1 needs $names"
}

# Each kind of artifact, by each compiler, from C and from C++.
check_all_ways() { # SPEC HOW..
  local way file kinds=obj,shared
  [[ $MODULE == 0 ]] || kinds+=,archive
  ship "$1" "$kinds" --target "$targets"
  expected "$1" >wanted.txt
  expect_nothing_undefined shipped.o
  expect_nothing_undefined shipped.so
  mkdir -p again
  "$convsmith" compile "$1" --rules any --name shipped --emit obj,shared -o again/shipped --target "$targets" >/dev/null
  for file in o so; do
    cmp -s "shipped.$file" "again/shipped.$file" || fail "two builds of $1 differ in their .$file"
  done
  for way in "${@:2}"; do
    read -r compiler language file <<<"$way"
    [[ -f $file && -n $(command -v "$compiler") ]] || continue
    link "$compiler" "$language" "$file"
    expect_equal "$1, $way,"
  done
}

test_model() {
  local ways=() file
  for file in shipped.o shipped.a ./shipped.so; do
    ways+=("$CC c $file" "$CXX c++ $file" "clang c $file" "clang++ c++ $file")
  done
  check_all_ways "$model" "${ways[@]}"
}

# Varied layers; each kind of artifact once, compilers and languages in turn.
test_layers() {
  local layer count=0
  while IFS= read -r layer; do
    [[ -z $layer || $layer == \#* ]] && continue
    case $((count % 2)) in
      0) check_all_ways "$layer" "$CC c shipped.o" "clang++ c++ shipped.a" "$CXX c++ ./shipped.so" ;;
      1) check_all_ways "$layer" "clang c shipped.o" "$CXX c++ shipped.a" "$CC c ./shipped.so" ;;
    esac
    count=$((count + 1))
  done <"$here/layers.txt"
  ((count >= 30)) || fail "only $count layers"
}

# One artifact on CPUs that lack what its best variant needs.
test_cpus() {
  local qemu cpu
  qemu=$(command -v qemu-x86_64-static) || exit $skipped
  [[ $MODULE == 1 ]] || exit $skipped
  for spec in "$model" "Conv1D(33, 4, strides=3, padding='same', activation='tanh', input_shape=(None, 9))"; do
    ship "$spec" obj --target "$targets"
    expected "$spec" >wanted.txt
    link "$CC" c shipped.o
    expect_equal "$spec on this CPU"
    for cpu in Haswell:avx2 Nehalem:baseline; do
      "$qemu" -cpu "${cpu%:*}" ./run >got.txt 2>/dev/null || fail "$spec on $cpu: exit code $?"
      cmp -s got.txt wanted.txt || fail "$spec differs on $cpu: $(diff wanted.txt got.txt | head -4)"
      [[ $("$qemu" -cpu "${cpu%:*}" ./run variant 2>/dev/null) == "${cpu#*:}" ]] || fail "$cpu runs another variant"
    done
    # Without a baseline, a lesser CPU gets a status and no illegal instruction.
    ship "$spec" obj --target avx2
    link "$CC" c shipped.o
    [[ $("$qemu" -cpu Nehalem ./run variant 2>/dev/null) == none ]] || fail "Nehalem runs AVX2 code"
  done
}

test_aarch64() {
  local qemu gcc
  qemu=$(command -v qemu-aarch64-static) && gcc=$(command -v aarch64-linux-gnu-gcc) || exit $skipped
  [[ $MODULE == 1 ]] || exit $skipped
  while IFS= read -r spec; do
    [[ -z $spec || $spec == \#* ]] && continue
    ship "$spec" obj --target aarch64-linux-gnu
    expected "$spec" >wanted.txt
    expect_nothing_undefined shipped.o
    "$gcc" -static -O1 -DARRAYS="$(arrays)" -I . -I "$here" "$here/artifact.c" shipped.o -o run
    "$qemu" ./run >got.txt || fail "$spec: exit code $?"
    cmp -s got.txt wanted.txt || fail "$spec differs: $(diff wanted.txt got.txt | head -4)"
    [[ $("$qemu" ./run variant) == neon ]] || fail "the variant is not neon"
  done < <(echo "$model"; cat "$here/layers.txt")
}

# Sizes in the header, as C, against what the functions say.
check_header_sizes() { # SPEC [OPTION..]
  ship "$1" obj --target avx2 "${@:2}"
  local packed="" steps="steps" pinned n=8
  (($(arrays) == 0)) || packed="0, "
  ! grep -q 'int64_t \*steps' shipped.h || steps="by_input"
  pinned=$(sed -nE 's/^ \* steps(\[0\])? must be ([0-9]+):.*/\2/p' shipped.h)
  {
    cat <<END
#include <stdio.h>
#include "shipped.h"
static int check(const char *what, int64_t steps, int64_t said, int64_t is) {
  return (said > 0 ? said : 0) == is ? 0 : printf("%s of %d steps: the header says %d, it has %d\n", what, (int)steps, (int)said, (int)is);
}
int main(void) {
  int wrong = 0;
  for (int64_t batch = 1; batch <= 3; ++batch)
    for (int64_t first = ${pinned:-1}; first <= ${pinned:-200}; ++first) {
      const int64_t by_input[8] = {first, first, first, first, first, first, first, first};
      const int64_t ${steps/by_input/*steps} = ${steps/steps/first};
      (void)by_input;
      const int status = shipped_run(${packed}0, 0, batch, steps, 0);
      if (status != 1) continue; /* 1: all is well but the arrays */
      wrong |= 1 << 30;
END
    sed -nE 's/^ \*   ((in|out)(\[([0-9]+)\])?): +\((.*)\), shipped_(input|output)_floats.*/\1;\5;\6;\4/p' shipped.h |
      while IFS=';' read -r name sizes kind number; do
        echo "      wrong += check(\"$name\", first, (${sizes//, /) * (}), shipped_${kind}_floats(batch, steps${number:+, $number}));"
      done
    echo '    }'
    echo '  return wrong != 1 << 30;'
    echo '}'
  } >sizes.c
  [[ $(grep -c 'wrong += check' sizes.c) -ge 2 ]] || fail "no sizes in the header of $1"
  "$CC" -std=c99 -Wall -Wextra -Werror sizes.c shipped.o -o sizes || fail "the sizes in the header of $1 are no C"
  ./sizes || fail "$1"
}

test_header_sizes() {
  local spec
  while IFS= read -r spec; do
    [[ -z $spec || $spec == \#* ]] || check_header_sizes "$spec"
  done <"$here/layers.txt"
  [[ $MODELS == 1 ]] || return 0
  for spec in "$model" "$SOURCE"/tests/data/models/{two_in_two_out,unet,upsampler,pad_crop,tcn_residual,mobile}_k3/model.keras; do
    check_header_sizes "$spec"
  done
}

# Any name of a file gives functions that compile and link, in C and C++; a name that was chosen must be legal.
test_names() {
  local layer="Conv1D(4, 3, input_shape=(None, 2))" file name said
  for file in my-model int class read main 2fast größe 模型 _x a--b- malloc svc convsmith 'with space' "x'y" $(printf 'l%.0s' {1..90}); do
    "$convsmith" compile "$layer" --emit obj,header -o "$file" --target avx2 >said.txt 2>note.txt || fail "$file: $(cat note.txt)"
    name=$(sed -nE 's/^const char \*(.*)_info\(void\);$/\1/p' "$file.h")
    [[ $name == "$file" ]] || grep -q "begin with '${name}_'" note.txt || fail "$file: nobody says that the name is $name"
    printf '#include <stdio.h>\n#include <stdlib.h>\n#include "%s.h"\nint main(void) { return puts(%s_info()) < 0; }\n' "$file" "$name" >use.c
    "$CC" -std=c99 -pedantic -Wall -Wextra -Werror use.c "$file.o" -o use && ./use | grep -qx "name: $name" || fail "$file from C"
    "$CXX" -Wall -Wextra -Werror -x c++ use.c -x none "$file.o" -o use && ./use | grep -qx "name: $name" || fail "$file from C++"
  done
  for name in my-model 2x größe __x _Bool a__b x_ malloc convsmith convsmith_x 'a b' $'a\e[1m' $(printf 'l%.0s' {1..65}); do
    if said=$("$convsmith" compile "$layer" -o x.o --target avx2 --name "$name" 2>&1); then fail "--name $name was accepted"; fi
    [[ $said == "error: --name is '"*"would do." && $said != *$'\e'* ]] || fail "--name $name: $said"
    said=${said% would do.} said=${said##* } said=${said//\'/}
    "$convsmith" compile "$layer" -o x.o --target avx2 --name "$said" >/dev/null || fail "$said would not do"
  done
}

# What distributions' linkers ask for: marks of branch targets, no executable stack, nothing to patch in code.
expect_marked_entries() { # FILE MARK [OBJDUMP]
  "${3:-objdump}" -d --no-show-raw-insn "$1" | awk -v mark="$2" '
    /^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3); next }
    name != "" { if ((name !~ /\./ || name ~ /\.part(\.|$)/ || name ~ /_(run|info|pack)\./) && index($0, mark) == 0) print name; name = "" }' >bare.txt
  [[ ! -s bare.txt ]] || fail "$1: no $2 at $(cat bare.txt)"
}

check_hardened() { # SPEC OPTION..
  ship "$1" obj,shared "${@:2}"
  readelf -nW shipped.o | grep -q 'x86 feature: IBT, SHSTK' || fail "$*: the object has no properties"
  ld -shared -z cet-report=error -z text -z defs --fatal-warnings -o linked.so shipped.o || fail "$*: the link is refused"
  ld -r --fatal-warnings -o again.o shipped.o && readelf -nW again.o | grep -q 'IBT, SHSTK' || fail "$*: ld -r"
  expect_marked_entries shipped.o endbr64
  local dynamic
  readelf -nW shipped.so | grep -q 'x86 feature: IBT, SHSTK' || fail "$*: the library has no properties"
  readelf -nW shipped.so | grep -q 'Build ID: [0-9a-f]\{40\}' || fail "$*: no build id"
  readelf -lW shipped.so | grep -q 'GNU_STACK.* RW ' || fail "$*: the stack would be executable"
  readelf -lW shipped.so | grep -q GNU_RELRO || fail "$*: nothing is read-only after relocation"
  ! readelf -lW shipped.so | grep -q ' RWE ' || fail "$*: memory that is writable and executable"
  dynamic=$(readelf -dW shipped.so)
  [[ $dynamic == *SONAME*shipped.so* && $dynamic == *NOW* && $dynamic != *TEXTREL* ]] || fail "$*: $dynamic"
  echo '#include "shipped.h"'$'\n''int main(void) { return shipped_info() == 0; }' >use.c
  "$CC" -fcf-protection -fPIE -pie -Wl,-z,relro,-z,now,-z,text,-z,noexecstack,--fatal-warnings use.c shipped.o -o use && ./use ||
    fail "$*: no position independent program"
}

test_hardened() {
  local layer="SeparableConv1D(24, 5, activation='tanh', input_shape=(None, 10))"
  check_hardened "$layer" --target avx2,avx512 --backend xbyak
  check_hardened "Conv1DTranspose(8, 4, strides=2, input_shape=(None, 8))" --target "$targets"
  [[ $MODELS == 0 ]] || check_hardened "$model" --target "$targets"
  [[ $MODULE == 1 ]] || return 0
  check_hardened "$layer" --target baseline
  check_hardened "$layer" --target avx2 --backend llvm
  ship "$layer" asm,llvm --target avx2 --backend llvm
  grep -q 'cf-protection-branch' shipped.ll || fail "the IR does not ask for marks"
  as shipped.s -o shipped.o
  readelf -nW shipped.o | grep -q 'x86 feature: IBT, SHSTK' || fail "the assembly has no properties"
  readelf -SW shipped.o | grep -q 'GNU-stack' || fail "the assembly wants an executable stack"
  ship "$layer" obj --target aarch64-linux-gnu
  readelf -nW shipped.o | grep -q 'AArch64 feature: BTI' || fail "AArch64 has no properties"
  command -v aarch64-linux-gnu-ld >/dev/null || return 0
  aarch64-linux-gnu-ld -shared -z force-bti -z text --fatal-warnings -o linked.so shipped.o || fail "AArch64: the link is refused"
  expect_marked_entries shipped.o bti aarch64-linux-gnu-objdump
}

# The two example projects, as their comments say.
test_examples() {
  cp -r "$SOURCE/examples" examples
  make -s -C examples/plain_c CC="$CC" CONVSMITH="$convsmith" run
  [[ $(stat -c %s examples/plain_c/clean.f32) == $(($(stat -c %s examples/ecg/input.npy) - 128)) ]] ||
    fail "plain_c wrote another number of samples"
  "$convsmith" run "$model" --input examples/ecg/input.npy --output clean.npy >/dev/null
  cmp <(tail -c +129 clean.npy) examples/plain_c/clean.f32 || fail "plain_c differs from the JIT"
  "$CMAKE" -S examples/cmake_kernel -B build -G "$GENERATOR" -DCMAKE_PREFIX_PATH="$WORK/a prefix that moved" >/dev/null
  "$CMAKE" --build build >/dev/null
  ./build/denoise examples/ecg/ecg.csv || fail "cmake_kernel differs from Keras"
}

# The README's lines, as somebody new types them.
test_readme() {
  mkdir bin
  ln -s "$convsmith" bin/convsmith
  ln -s "$SOURCE/examples" examples
  awk '/^## /{on = /^## Ship it/} on' "$SOURCE/README.md" | sed -n '/^```sh$/,/^```$/{/^```/d;p}' >lines.sh
  grep -q 'convsmith compile' lines.sh || fail "README.md has no lines to ship"
  PATH=$PWD/bin:$PATH bash -euo pipefail lines.sh >out.txt || fail "$(cat out.txt)"
  grep -q '^status 0, ' out.txt && grep -q '^variant: ' out.txt || fail "$(cat out.txt)"
}

# What can't be written or made: one sentence, nothing left behind.
test_errors() {
  local out
  refused() { # PATTERN OPTION..
    if out=$("$convsmith" compile "${@:2}" 2>&1); then fail "accepted: ${*:2}"; fi
    [[ $out == error:*$1* && $(wc -l <<<"$out") == 1 ]] || fail "said '$out' and not '$1'"
    [[ -z $(ls -A) ]] || fail "left behind: $(ls -A)"
  }
  local layer="Conv1D(4, 3, input_shape=(None, 2))"
  refused "no_such_folder" "$layer" -o no_such_folder/x.o --target avx2
  refused "its suffix must be" "$layer" -o x.exe
  refused "--target names 'sse9'" "$layer" -o x.o --target sse9
  refused "artifact of its own" "$layer" -o x.o --target avx2,aarch64
  refused "C identifier" "$layer" -o x.o --target avx2 --name 2x
  refused "must end with the name of a file" "$layer" --emit obj -o sub/ --target avx2
  refused "--emit names 'elf'" "$layer" -o x --emit obj,elf
  refused "xbyak" "$layer" -o x.o --target baseline --backend xbyak
  refused "interp" "$layer" -o x.o --target avx2 --backend interp
  refused "no_such_weights" "$layer" -o x.o --target avx2 --weights no_such_weights.npz
  if PATH=/nonexistent "$convsmith" compile "$layer" -o x.so --target avx2 2>err.txt; then fail "linked without a linker"; fi
  grep -q "can't be linked: there is no ld" err.txt || fail "$(cat err.txt)"
  rm err.txt
  # What was there before stays where another file can't be written.
  mkdir z.h
  echo old >z.o
  if "$convsmith" compile "$layer" --emit obj,header -o z --target avx2 >/dev/null 2>&1; then fail "wrote a folder"; fi
  [[ -s z.o ]] || fail "an older file is gone"
  rm -r z.h z.o
  if [[ -w /dev/full ]]; then
    # A disk that is full: the first file of two must not stay either.
    mkdir -p full
    ln -s /dev/full full/x.h
    "$convsmith" compile "$layer" --emit header,obj -o full/x --target avx2 >/dev/null 2>&1 || true
    rm -rf full
  fi
  [[ -z $(ls -A) ]] || fail "left behind: $(ls -A)"
}

"test_$1"

#!/usr/bin/env bash
# Builds convsmith and runs all tests. The last line reads "N passed, N failed"; the exit code is 0 only
# if none failed.
#
#   scripts/test.sh                  the release build, in build/
#   scripts/test.sh --preset asan    another build: dev, asan, tsan, no-llvm (in build-asan and so on)
#   scripts/test.sh --quick          without the tests labelled slow (or set QUICK=1)
#   scripts/test.sh --werror         warnings are errors
#   scripts/test.sh -R REGEX ...     what follows goes to ctest
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

preset=release
configure=(-DCONVSMITH_TESTS=ON)  # scripts/quickstart.sh leaves them out of the same build
ctest_options=()
[[ ${QUICK:-0} == 0 || -z ${QUICK:-} ]] || ctest_options+=(--label-exclude slow)
while (($#)); do
  case $1 in
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --preset=*) preset=${1#*=} ;;
    --quick) ctest_options+=(--label-exclude slow) ;;
    --werror) configure+=(-DCONVSMITH_WERROR=ON) ;;
    --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) ctest_options+=("$1") ;;
  esac
  shift
done

build=build-$preset
[[ $preset != release ]] || build=build
dependencies=(--run --tests --llvm)
[[ $preset != no-llvm ]] || dependencies=(--run --tests)
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

scripts/install_deps.sh "${dependencies[@]}"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Configuring the $preset build in $build/"
if ! cmake --preset "$preset" "${configure[@]}" >"$log" 2>&1; then
  cat "$log" >&2
  echo "0 passed, 1 failed"
  exit 1
fi
echo "Building"
if ! with_progress "Building" "$log" cmake --build "$build" --parallel "$jobs"; then
  # Ninja prints everything; what matters stands behind "FAILED".
  grep -A 40 '^FAILED' "$log" >&2 || tail -60 "$log" >&2
  echo "0 passed, 1 failed"
  exit 1
fi
grep -A 6 'warning:' "$log" >&2 || true

echo "Testing"
results=$PWD/$build/test-results.xml
rm -f "$results"
with_progress "Testing" "$log" ctest --preset "$preset" --parallel "$jobs" --progress --output-junit "$results" \
  "${ctest_options[@]}" || true
# The output of failed tests, without the list of all those that passed.
awk '/^The following tests FAILED/ { list = 1 }
     list || /^(.*\*\*\*|Errors while)/ || $0 !~ /^\[ *[0-9]+\/[0-9]+\]|^ *Start |Test +#[0-9]+: .* Passed/ { print }' "$log" |
  grep -vE '^(Test project|Preset|    Start|$)' | tail -200 || true

count() { sed -n "/<testsuite/,/>/s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$results" | head -1; }
if [[ ! -s $results ]]; then
  echo "ctest left no results." >&2
  echo "0 passed, 1 failed"
  exit 1
fi
total=$(count tests)
failed=$(count failures)
skipped=$(($(count skipped) + $(count disabled)))
# The leak sanitizer's own thread can crash behind a test that passed, where a library with thread-local memory
# was loaded (LLVM). Then, and only then, what failed runs once more.
if ((failed > 0)) && grep -q 'LeakSanitizer has encountered a fatal error' "$build/Testing/Temporary/LastTest.log"; then
  echo "The leak sanitizer crashed; what failed runs again."
  rm -f "$results"
  ctest --preset "$preset" --rerun-failed --output-on-failure --output-junit "$results" 2>&1 | tail -100 || true
  [[ ! -s $results ]] || failed=$(count failures)
fi
((skipped == 0)) || echo "$skipped skipped"
echo "$((total - failed - skipped)) passed, $failed failed"
((failed == 0 && total > 0))

#!/usr/bin/env bash
# The first command: installs what is missing, builds convsmith, and shows what it is for on a real signal.
# Run it from anywhere; it writes only to build/ in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

bold() { if [[ -t 1 ]]; then printf '\n\033[1m%s\033[0m\n\n' "$1"; else printf '\n%s\n\n' "$1"; fi; }
# quietly TITLE COMMAND...
quietly() {
  local log=build/quickstart.log title=$1
  shift
  mkdir -p build
  if ! with_progress "$title" "$log" "$@"; then
    tail -60 "$log" >&2
    echo "That failed: $*" >&2
    exit 1
  fi
}

echo "convsmith compiles 1-D convolution layers and networks, as Keras writes them, to machine code."

bold "1. Build"
scripts/install_deps.sh --run --llvm
started=$SECONDS
# A new build is made without the tests and what they need; scripts/test.sh adds them to it.
configure=(cmake --preset release)
[[ -f build/CMakeCache.txt ]] || configure+=(-DCONVSMITH_TESTS=OFF)
quietly "Configuring" "${configure[@]}"
quietly "Building" cmake --build build --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" --target convsmith_installable
echo "Built build/bin/convsmith in $((SECONDS - started)) s."

convsmith=build/bin/convsmith
ecg=examples/ecg
out=build/quickstart
mkdir -p "$out"

# plot FILE.npy FIRST STRIDE COUNT: float32 values as a drawing 72 columns wide.
plot() {
  # The header of these files is 128 bytes long.
  od -An -v -t f4 -w4 -j 128 "$1" | awk -v first="$2" -v stride="$3" -v count="$4" '
    NR > first && (NR - 1 - first) % stride == 0 && n < count { y[n++] = $1 }
    END {
      rows = 9; columns = 72
      for (i = 0; i < n; i++) { if (i == 0 || y[i] < low) low = y[i]; if (i == 0 || y[i] > high) high = y[i] }
      for (i = 0; i < n; i++) {
        c = int(i * columns / n); r = int((high - y[i]) / (high - low) * (rows - 1) + 0.5)
        if (!(c in top) || r < top[c]) top[c] = r
        if (!(c in bottom) || r > bottom[c]) bottom[c] = r
      }
      for (r = 0; r < rows; r++) {
        line = ""
        for (c = 0; c < columns; c++) line = line ((c in top) && r >= top[c] && r <= bottom[c] ? "#" : " ")
        sub(/ +$/, "", line)
        label = r == 0 ? sprintf("%6.2f", high) : r == rows - 1 ? sprintf("%6.2f", low) : "      "
        print "  " label " |" line
      }
    }'
}

bold "2. A heart, and a layer that was trained on it"
cat <<TEXT
The input is 22.8 seconds of an ECG (MIT-BIH record 208, 8192 samples at 360 Hz, noise added). The layer is the
first one of a network that takes such noise away: 16 filters of 16 taps that look at every second sample. It
was trained with Keras, which also computed the expected result. The first four seconds, in millivolts:

TEXT
plot "$ecg/input.npy" 0 1 1440

bold "3. The layer on every back end"
cat <<TEXT
One layer, six ways: run by the interpreter, compiled by convsmith's own back end (xbyak), and by LLVM, each for
several instruction sets. Keras may add in another order, so its last digits may differ. The six must agree in
every bit.

TEXT

member() { sed -n "s/^ *\"$1\": *\([^,]*\),\{0,1\}\$/\1/p" | head -1; }
mismatches=0

# on_every_back_end NAME ARGUMENTS: a table of `convsmith run ARGUMENTS`. Leaves the results in $out/NAME-*.npy and
# what the automatic choice reported in $out/NAME.json.
on_every_back_end() {
  local work=$1 reference= pair backend isa name file json bits difference
  shift
  printf '  %-18s %12s %12s %20s   %s\n' "back end" "compile" "run" "largest difference" "bits"
  printf '  %-18s %12s %12s %20s   %s\n' "" "(us)" "(us)" "from Keras" ""
  for pair in "interp auto" "xbyak avx512" "xbyak avx2" "llvm avx512" "llvm avx2" "llvm baseline"; do
    read -r backend isa <<<"$pair"
    name=$backend
    [[ $isa == auto ]] || name="$backend $isa"
    file=$out/$work-${pair// /-}.npy
    if ! json=$("$convsmith" run "$@" --backend "$backend" --isa "$isa" --output "$file" --json 2>"$out/stderr"); then
      printf '  %-18s %s\n' "$name" "$(sed -n 's/^error: //p' "$out/stderr" | head -1)"
      grep -q 'CPU does not run' "$out/stderr" || mismatches=$((mismatches + 1))
      continue
    fi
    if [[ -z $reference ]]; then
      reference=$file
      bits="the measure of the others"
    elif cmp -s "$reference" "$file"; then
      bits="equal"
    else
      bits="DIFFERENT"
      mismatches=$((mismatches + 1))
    fi
    difference=$(member largest_difference <<<"$json")
    if [[ $difference =~ ^0(\.0)?$ ]]; then difference=none; else difference=$(printf '%.2g' "$difference"); fi
    printf '  %-18s %12.1f %12.1f %20s   %s\n' "$name" "$(member compile_us <<<"$json")" \
      "$(member run_us <<<"$json")" "$difference" "$bits"
  done
}

on_every_back_end layer "$ecg/layer.json" --weights "$ecg" --input "$ecg/input.npy" --expected "$ecg/expected.npy"
echo
echo "(First calls, so with cold caches. For scale: the results reach from -2.1 to 1.9.)"
echo
echo "What one of the 16 filters makes of those four seconds, from the result just computed:"
echo
plot "$out/layer-interp-auto.npy" 7 16 720

bold "4. How fast is it?"
echo "The same layer and length, repeated, on one thread:"
echo
"$convsmith" compare "$ecg/layer.json" --steps 8192

bold "5. The whole network"
cat <<TEXT
The network that this layer comes from, as Keras saved it: 9 convolutions and transposed convolutions, batch
normalisations and ELUs, 75,009 parameters in one file. It reads a heart that it has never seen, with noise added
(1,024 samples). Batch normalisations and ELUs disappear into the 9 convolutions:

TEXT
"$convsmith" explain "$ecg/model.keras" |
  sed -nE 's/^  t[0-9]+\[.*\] = (transposed conv|conv)\(t[0-9]+\[[^]]*\], (taps[^)]*)\).*  # (.*)/\1|\2|\3/p' |
  awk -F'|' '{ printf "  %d  %-16s %-36s %s\n", NR, $1, $2, $3 }'
echo
network=("$ecg/model.keras" --input "$ecg/ecg.csv:noisy_mv" --expected "$ecg/ecg.csv:keras_output_mv"
  --clean "$ecg/ecg.csv:clean_mv" --rate 360)
on_every_back_end network "${network[@]}"
echo
picture=$out/ecg.svg
"$convsmith" run "${network[@]}" --repeat 50 --plot "$picture" --json >"$out/network.json" 2>"$out/stderr"
number() { printf "%.$1f" "$(member "$2" <"$out/network.json")"; }
cat <<TEXT
  noise       signal-to-noise ratio $(number 2 before) dB before, $(number 2 after) dB after
  Keras       largest difference $(printf '%.2g' "$(member largest_difference <"$out/network.json")") mV, where the signal reaches 1.3 mV
  speed       $(awk "BEGIN { printf \"%.1f\", $(member steps_per_second <"$out/network.json") / 1e6 }") million samples a second on one thread: $(number 0 times_real_time) times real time at 360 Hz
  picture     $picture (any browser opens it)
TEXT

bold "6. Your turn"
cat <<TEXT
  $convsmith run model.keras --input signal.csv --output result.csv --plot result.svg
  $convsmith inspect $ecg/model.keras
  $convsmith explain "Conv1D(32, 3, activation='relu', input_shape=(10, 128))" --stage all
  $convsmith compare "Conv1D(256, 11, dilation_rate=5, padding='same', input_shape=(640, 256))"
  $convsmith --help

README.md tells the rest; scripts/test.sh runs all tests.
TEXT

if ((mismatches > 0)); then
  echo
  echo "Something is wrong: $mismatches of the back ends above failed or gave other bits." >&2
  exit 1
fi

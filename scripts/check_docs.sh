#!/usr/bin/env bash
# Checks what the documentation repeats from the code: the README's C++ examples are examples/ten_lines*.cpp,
# docs/vir.md holds the tables of operations and arguments as the code has them, lists of names (layers,
# activations, schedule steps, commands, stages, variables, functions, exit codes) are whole, and every local
# link leads somewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0
fail() {
  echo "$1" >&2
  failures=$((failures + 1))
}

# section FILE HEADING: the lines of a file below a heading, up to the next one of its kind.
section() {
  awk -v heading="$2" 'BEGIN { split(heading, words, " ") } $0 == heading { on = 1; next } on && /^#/ && length($1) <= length(words[1]) { exit } on' "$1"
}

# expect_listed DOCUMENT TEXT WHAT: each line of standard input is a word of the text.
expect_listed() {
  local word count=0
  while IFS= read -r word; do
    count=$((count + 1))
    grep -qE "(^|[^A-Za-z0-9_])$word([^A-Za-z0-9_]|\$)" <<<"$2" || fail "$1: $3 '$word' is missing."
  done
  ((count > 2)) || fail "scripts/check_docs.sh finds no $3 in the code any more."
}

# expect_same DOCUMENT WHAT CODE DOCS: two lists of names are equal, in any order.
expect_same() {
  local code docs
  code=$(sort -u <<<"$3") docs=$(sort -u <<<"$4")
  [[ -n $code && $code == "$docs" ]] ||
    fail "$1: the $2 are not those of the code: $(diff <(echo "$docs") <(echo "$code") | grep '^[<>]' | paste -sd' ')"
}

# Names between quotation marks in a table that begins with a line of the code.
quoted_in_table() { # FILE FIRST_LINE
  awk -v first="$2" 'index($0, first) { on = 1 } on { print } on && /};/ { exit }' "$1" | grep -oE '\{[^"{}]*"[^"]+"' | sed -E 's/.*"([^"]+)"/\1/'
}

examples=$(sed -n '/^```cpp$/,/^```$/{/^```/d;p}' README.md)
[[ $examples == "$(cat examples/ten_lines.cpp examples/ten_lines_model.cpp)" ]] ||
  fail "README.md: the C++ examples are not examples/ten_lines.cpp and ten_lines_model.cpp."

for table in ops args; do
  text=$(sed -n "/<!-- vir_table.sh $table -->/,/<!-- end -->/{/<!--/d;p}" docs/vir.md)
  [[ $(grep . <<<"$text") == "$(scripts/vir_table.sh $table | grep .)" ]] ||
    fail "docs/vir.md: the table is not what 'scripts/vir_table.sh $table' prints."
done

supported=$(section README.md '## What is supported')
expect_listed README.md "$supported" layer < <(
  sed -nE '/kConvolutions\[\]/,/;/p' frontend/models/layer_ops.cpp | grep -oE '"[A-Za-z0-9]+"' | tr -d '"'
  quoted_in_table frontend/models/layer_ops.cpp 'constexpr Entry kLayers[]' | grep -vx InputLayer)
expect_listed README.md "$(grep -F '| `activation` |' <<<"$supported")" activation < <(
  grep -oE '^ +\{"[a-z0-9_]+"' frontend/keras/activations.cpp | tr -d ' {"')
expect_listed docs/nest.md "$(section docs/nest.md '## Schedule steps' | grep '^### ')" 'schedule step' < <(
  quoted_in_table ir/nest/schedule_text.cpp 'constexpr StepInfo kSteps[]')

expect_same docs/cli.md 'commands of the synopsis' \
  "$(cat cli/*.cpp | tr -d '\n' | grep -oE 'add_subcommand\( *"[a-z]+"' | grep -oE '"[a-z]+"' | tr -d '"')" \
  "$(awk '/^```/ { block++ } block == 1' docs/cli.md | sed -nE 's/^convsmith ([a-z]+).*/\1/p')"
expect_same docs/cli.md 'stages of explain' \
  "$(sed -n '/ kStages = {/,/};/p' cli/explain.cpp | grep -oE '"[a-z]+"' | tr -d '"')"$'\nall' \
  "$(sed -nE '0,/--stage/s/^convsmith explain .*--stage ([a-z|]+).*/\1/p' docs/cli.md | tr '|' '\n')"
expect_same docs/cli.md 'stages of CONVSMITH_DUMP' \
  "$(grep -rhoE 'dump_wanted\("[a-z]+"' cli runtime codegen | grep -oE '"[a-z]+"' | tr -d '"')"$'\nall' \
  "$(grep -F '| `CONVSMITH_DUMP` |' docs/cli.md | cut -d'|' -f3 | grep -oE '`[a-z]+`' | tr -d '`')"
expect_same docs/cli.md 'environment variables' \
  "$(grep -rhoE '"CONVSMITH_[A-Z_]+"' cli codegen frontend ir runtime --include=*.cpp --include=*.hpp | tr -d '"')" \
  "$(section docs/cli.md '## Environment' | grep -oE '^\| `CONVSMITH_[A-Z_]+`' | tr -d '|` ')"
expect_same docs/cli.md 'functions of artifacts' \
  "$(sed -n '/c_functions(bool embedded) {/,/^}/p' runtime/aot/lower_graph.cpp | grep -oE '"[a-z_]+"' | tr -d '"')" \
  "$(section docs/cli.md '## compile' | grep -oE '`NAME_[a-z_]+`' | sed -E 's/`NAME_([a-z_]+)`/\1/')"
expect_same docs/cli.md 'exit codes' \
  "$(grep -ohE '^inline constexpr int k[A-Za-z]+ = [0-9]+' cli/commands.hpp cli/interrupt.hpp | grep -oE '[0-9]+$')" \
  "$(section docs/cli.md '## Exit codes' | grep -oE '^\| [0-9]+' | tr -d '| ')"

# Each C function that the documentation names is declared.
for function in $(grep -ohE '\bconvsmith_[a-z_]+\(' README.md docs/*.md | tr -d '(' | sort -u); do
  grep -qE "\b$function\b" include/convsmith/convsmith.h cmake/*.cmake || fail "docs: $function is no function."
done

while read -r variable; do
  grep -q "\"$variable\"" runtime/environment.cpp || fail "runtime/environment.cpp: $variable is read, but has no row."
done < <(grep -rhoE 'getenv\("[A-Z_]+"\)' --include='*.cpp' frontend ir codegen runtime cli | grep -oE '[A-Z_]{2,}' |
  grep -v '^PATH$' | sort -u)

for document in *.md docs/*.md examples/*/*.md; do
  while read -r link; do
    path=${link%%#*}
    [[ -z $path || -e $(dirname "$document")/$path ]] || fail "$document: the link to $link leads nowhere."
  done < <(grep -oE '\]\([^)]+\)' "$document" | sed -E 's/^\]\(//; s/\)$//' | grep -vE '^https?:' || true)
done

((failures == 0)) && echo "The documentation repeats the code correctly."

#!/usr/bin/env bash
# Checks what the documentation repeats from the code: the README's C++ examples are examples/ten_lines*.cpp,
# docs/vir.md holds the table of operations as vir_ops.def has it, every environment variable that is read is
# explained and checked, and every local link leads somewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0
fail() {
  echo "$1" >&2
  failures=$((failures + 1))
}

examples=$(sed -n '/^```cpp$/,/^```$/{/^```/d;p}' README.md)
[[ $examples == "$(cat examples/ten_lines.cpp examples/ten_lines_model.cpp)" ]] ||
  fail "README.md: the C++ examples are not examples/ten_lines.cpp and ten_lines_model.cpp."

table=$(sed -n '/<!-- vir_table.sh -->/,/<!-- end -->/{/<!--/d;p}' docs/vir.md)
[[ $(grep . <<<"$table") == "$(scripts/vir_table.sh | grep .)" ]] ||
  fail "docs/vir.md: the table of operations is not what scripts/vir_table.sh prints."

while read -r variable; do
  grep -q "\"$variable\"" runtime/environment.cpp || fail "runtime/environment.cpp: $variable is read, but has no row."
  grep -q "$variable" docs/cli.md || fail "docs/cli.md: $variable is not explained."
done < <(grep -rhoE 'getenv\("[A-Z_]+"\)' --include='*.cpp' frontend ir codegen runtime cli | grep -oE '[A-Z_]{2,}' |
  grep -v '^PATH$' | sort -u)

for document in *.md docs/*.md examples/*/*.md; do
  while read -r link; do
    path=${link%%#*}
    [[ -z $path || -e $(dirname "$document")/$path ]] || fail "$document: the link to $link leads nowhere."
  done < <(grep -oE '\]\([^)]+\)' "$document" | sed -E 's/^\]\(//; s/\)$//' | grep -vE '^https?:' || true)
done

((failures == 0)) && echo "The documentation repeats the code correctly."

#!/usr/bin/env bash
# Prints the operations or the arguments of vir as the Markdown tables of docs/vir.md, from codegen/vir/ops.def
# and args.def.
#
#   scripts/vir_table.sh ops|args
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  ops) file=codegen/vir/ops.def ;;
  args)
    file=codegen/vir/args.def
    printf '| argument | meaning |\n|---|---|\n'
    ;;
  *)
    echo "usage: scripts/vir_table.sh ops|args" >&2
    exit 2
    ;;
esac

awk '
  # A comment directly before a group of operations is its heading.
  /^\/\// { comment = $0; sub(/^\/\/ */, "", comment); next }
  /^[ \t]*$/ { group = ""; next }
  /^(OP|ARG)\(/ {
    is_argument = /^ARG/
    entry = $0
    while (entry !~ /\)[ \t]*$/ && (getline more) > 0) entry = entry " " more
    count = 0
    while (match(entry, /"[^"]*"/)) {
      text[++count] = substr(entry, RSTART + 1, RLENGTH - 2)
      entry = substr(entry, RSTART + RLENGTH)
    }
    first = is_argument ? 2 : 3
    meaning = text[first]
    for (i = first + 1; i <= count; i++) meaning = meaning text[i]
    gsub(/\|/, "\\|", meaning)
    if (is_argument) {
      printf "| `%s` | %s |\n", text[1], meaning
      next
    }
    if (group == "") {
      group = comment
      print "\n**" group "**\n\n| op | operands | meaning |\n|---|---|---|"
    }
    printf "| `%s` | `%s` | %s |\n", text[1], text[2] == "" ? " " : text[2], meaning
  }' "$file"

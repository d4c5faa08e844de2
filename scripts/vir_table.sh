#!/usr/bin/env bash
# Prints the operations of vir as the Markdown tables of docs/vir.md, from codegen/vir_ops.def.
set -euo pipefail
cd "$(dirname "$0")/.."

awk '
  # A comment directly before a group of operations is its heading.
  /^\/\// { comment = $0; sub(/^\/\/ */, "", comment); next }
  /^[ \t]*$/ { group = ""; next }
  /^OP\(/ {
    entry = $0
    while (entry !~ /\)[ \t]*$/ && (getline more) > 0) entry = entry " " more
    count = 0
    while (match(entry, /"[^"]*"/)) {
      text[++count] = substr(entry, RSTART + 1, RLENGTH - 2)
      entry = substr(entry, RSTART + RLENGTH)
    }
    meaning = text[3]
    for (i = 4; i <= count; i++) meaning = meaning text[i]
    gsub(/\|/, "\\|", meaning)
    if (group == "") {
      group = comment
      print "\n**" group "**\n\n| op | operands | meaning |\n|---|---|---|"
    }
    printf "| `%s` | `%s` | %s |\n", text[1], text[2] == "" ? " " : text[2], meaning
  }' codegen/vir_ops.def

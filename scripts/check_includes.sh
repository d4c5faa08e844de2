#!/usr/bin/env bash
# Checks from the #include lines that every folder looks only where it may:
#
#   include/convsmith <- frontend <- ir <- codegen <- runtime <- cli
#
# and inside a folder its rooms, in the orders of `order` below;
# that third-party code stays in its room: Xbyak in codegen/x86, LLVM in codegen/llvm, Zydis in
# codegen/x86/disassemble, HDF5 in frontend/h5dump, CLI11 in cli; that the readers of vir (codegen/x86, llvm, interp) know neither Keras nor loop nests;
# and that examples use nothing but the public headers. Tests and benchmarks may look anywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

find include frontend ir codegen runtime cli examples \
  -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.def' \) -print0 |
  xargs -0 grep -Hn '^[[:space:]]*#[[:space:]]*include' |
  awk '
    BEGIN {
      rank["include"] = 0; rank["convsmith"] = 0; rank["frontend"] = 1; rank["ir"] = 2
      rank["codegen"] = 3; rank["runtime"] = 4; rank["cli"] = 5
      order("frontend/base frontend frontend/keras frontend/models")
      order("ir/nest ir/graph")
      order("codegen/vir codegen codegen/programs codegen/lower codegen/schedule")
      order("runtime runtime/aot runtime/objects runtime/capi")
      order("cli/io cli/verify cli/measure cli")
    }
    function order(text,   room, n, i) { n = split(text, room, " "); for (i = 1; i <= n; i++) place[room[i]] = i }
    function bad(why) { print file ":" line ": " what ": " why; failures++ }
    {
      split($0, part, ":"); file = part[1]; line = part[2]
      what = $0; sub(/^[^:]*:[^:]*:[ \t]*#[ \t]*include[ \t]*/, "", what)
      name = what; gsub(/[<>"]/, "", name); sub(/[ \t].*$/, "", name)
      room = file; sub(/\/.*/, "", room)
      other = name; sub(/\/.*/, "", other)
      from = file; sub(/\/[^\/]*$/, "", from)
      to = name; sub(/\/[^\/]*$/, "", to)
      if (room == other && (from in place) && (to in place) && place[to] > place[from]) bad(from " must not know " to)
      count++

      if (what ~ /^"/ && !(other in rank)) bad("a quoted include names its folder from the root")
      if (room == "examples") {
        if ((other in rank) && other != "convsmith") bad("examples use the public headers only")
      } else if ((other in rank) && rank[other] > rank[room]) {
        bad(room " must not know " other)
      }
      if (tolower(name) ~ /^xbyak/ && file !~ /^codegen\/x86\//) bad("Xbyak belongs in codegen/x86")
      if (name ~ /^llvm(-c)?\// && file !~ /^codegen\/llvm\//) bad("LLVM belongs in codegen/llvm")
      if (name ~ /^(CLI|sndfile)/ && room != "cli") bad("belongs in cli")
      if (name ~ /^(un)?zip\./ && file !~ /^frontend\/zip\//) bad("belongs in frontend/zip")
      if (name ~ /^(hdf5|H5)/ && file !~ /^frontend\/h5dump\//) bad("belongs in frontend/h5dump")
      if (name ~ /^Zydis/ && file !~ /^codegen\/x86\/disassemble/) bad("belongs in codegen/x86/disassemble.cpp")
      if (room == "include" && what ~ /^</ && name ~ /\// && name != "tl/expected.hpp")
        bad("public headers need the standard library and tl::expected only")
      if (file ~ /^codegen\/(x86|llvm|interp)\// && (other == "ir" || (other == "frontend" && name != "frontend/base/check.hpp")))
        bad("a reader of vir knows neither Keras nor loop nests")
    }
    END {
      if (failures) { print failures " wrong includes."; exit 1 }
      if (count < 50) { print "Only " count " includes found: the search is broken."; exit 1 }
      print count " includes, all in the allowed direction."
    }'

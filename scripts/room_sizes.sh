#!/usr/bin/env bash
# Holds each room to its budget of lines, so that growth is a decision: a feature that needs more raises the number
# here, and its commit says why. `goal` is what the room should come down to.
#
#   scripts/room_sizes.sh            fails where a room is over its budget
set -euo pipefail
cd "$(dirname "$0")/.."

over=0
# room NAME BUDGET GOAL FOLDER...: the sources in these folders; FOLDER/ alone without those inside it.
room() {
  local name=$1 budget=$2 goal=$3 lines
  shift 3
  lines=$(for folder in "$@"; do
    depth=(); [[ $folder != */ ]] || depth=(-maxdepth 1)
    find "$folder" "${depth[@]}" -type f \( -name '*.cpp' -o -name '*.hpp' -o -name '*.h' -o -name '*.def' \) -exec cat {} +
  done | wc -l)
  printf '%-28s %6d lines, budget %6d, goal %6d\n' "$name" "$lines" "$budget" "$goal"
  if ((lines > budget)); then
    echo "$name is over its budget: delete something, or raise the budget in scripts/room_sizes.sh and say why."
    over=1
  fi
}

room 'public headers' 1375 1300 include
room 'frontend' 5575 5000 frontend/ frontend/base frontend/keras
room 'model files' 4950 4500 frontend/models frontend/h5dump frontend/zip
room 'graph' 4375 3000 ir/graph
room 'nests and code generation' 16450 13000 ir/nest codegen
room 'runtime' 5550 4500 runtime/ runtime/host
room 'ahead of time' 1700 1400 runtime/aot
room 'layer objects' 2000 1800 runtime/objects
room 'C interface' 1150 900 runtime/capi
room 'commands' 6650 3500 cli/
room 'files of data' 2700 2500 cli/io
room 'verify' 4050 3400 cli/verify
room 'measure' 1400 1500 cli/measure
exit $over

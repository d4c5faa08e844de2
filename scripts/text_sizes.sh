#!/usr/bin/env bash
# Bytes of machine code of an artifact for each layer of bench/shapes.csv and each instruction set, the largest
# first: "bytes isa name". Fails where the largest is over the budget.
#
#   scripts/text_sizes.sh [PROGRAM]      default: build/bin/convsmith
set -euo pipefail
cd "$(dirname "$0")/.."

budget=23500  # of the largest, which is two nests of lanes over steps and their edges; the goal is 16384

program=${1:-build/bin/convsmith}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Fields: name,op,batch,steps,in_channels,filters,kernel_size,strides,dilation_rate,groups,padding,where
measure() {
  tail -n +2 bench/shapes.csv | while IFS=, read -r name op _ _ channels filters kernel strides dilation groups padding _; do
    case $padding in
      explicit:*) padding="(${padding#explicit:})" padding=${padding/:/, } ;;
      *) padding="'$padding'" ;;
    esac
    case $op in
      conv1d) layer="Conv1D($filters, $kernel, dilation_rate=$dilation, groups=$groups" ;;
      conv1d_transpose) layer="Conv1DTranspose($filters, $kernel" ;;
    esac
    layer+=", strides=$strides, padding=$padding, input_shape=(None, $channels))"
    "$program" compile "$layer" -o "$folder/x.o" --rules any --json |
      awk -v name="$name" '/"isa"/ { gsub(/[",]/, ""); isa = $2 } /"text_bytes"/ { gsub(/,/, ""); print $2, isa, name }'
  done | sort -rn
}

measure | tee "$folder/sizes"
layers=$(($(wc -l <bench/shapes.csv) - 1))
measured=$(awk '{ print $3 }' "$folder/sizes" | sort -u | wc -l)
((measured == layers)) || { echo "$measured of $layers layers were compiled." >&2; exit 1; }
read -r largest _ <"$folder/sizes"
if ((largest > budget)); then
  echo "$largest bytes are over the budget of $budget: save some, or raise it in scripts/text_sizes.sh and say why." >&2
  exit 1
fi

#!/usr/bin/env bash
# Bytes of machine code of an artifact for each layer of bench/shapes.csv and each instruction set, the largest
# first: "bytes isa name".
#
#   scripts/text_sizes.sh [PROGRAM]      default: build/bin/convsmith
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-build/bin/convsmith}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Fields: name,op,batch,steps,in_channels,filters,kernel_size,strides,dilation_rate,groups,padding,where
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

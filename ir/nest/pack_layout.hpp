// Where each weight and bias lies in the packed weights of a nest: in the order in which the tiles
// read them. Derived from the nest, so a kernel and its weights can't disagree. Read by lower and by
// the packing in runtime/.
#pragma once

#include "ir/nest/nest.hpp"

namespace convsmith::ir {

// Units are filters of a group, or groups where the lanes run over groups. They come in blocks of
// `block`, the last one perhaps smaller and rounded up to whole vectors (`pad`). A block holds its
// bias, then one row of units for each (tap, channel).
struct PackLayout {
  int64_t outer = 0;  // groups packed one after the other; 1 where units are groups
  int64_t units = 0;  // in one of them
  int64_t block = 1;  // units in a block
  int64_t pad = 1;    // a block's width is a multiple of this
  int64_t rows = 0;   // taps * channels of a group
  bool has_bias = false;
  bool units_are_groups = false;
  Element element = Element::kFloat32;

  bool operator==(const PackLayout&) const = default;
  int64_t width(int64_t block_units) const { return (block_units + pad - 1) / pad * pad; }
  // Floats of a block of `block_units` units.
  int64_t block_floats(int64_t block_units) const { return width(block_units) * (rows + (has_bias ? 1 : 0)); }
  int64_t outer_floats() const {
    const int64_t rest = units % block;
    return units / block * block_floats(block) + (rest > 0 ? block_floats(rest) : 0);
  }
  int64_t floats() const { return outer * outer_floats(); }
  // Index of the bias of unit `u` of outer group `g`; its weight for (tap, channel) row r follows
  // at (r + has_bias) * width.
  int64_t unit_index(int64_t g, int64_t u) const {
    const int64_t begin = u / block * block;
    return g * outer_floats() + u / block * block_floats(block) + (u - begin);
  }
  // Of a tile of `tile_units` units: floats from one row to the next, and from its first unit to unit `u` of
  // the same row.
  int64_t tile_width(int64_t tile_units) const { return width(tile_units < block ? tile_units : block); }
  int64_t tile_offset(int64_t u) const { return u / block * block_floats(block) + u % block; }
  int64_t row_bytes(int64_t tile_units) const { return bytes_of(element) * tile_width(tile_units); }
  int64_t offset_bytes(int64_t u) const { return bytes_of(element) * tile_offset(u); }
  int64_t unit_width(int64_t u) const {
    const int64_t begin = u / block * block;
    return width(begin + block <= units ? block : units - begin);
  }
};

// The nest is lowerable.
PackLayout pack_layout(const LoopNest& nest);

// The dimension that parallel callers may split, and in how many blocks: groups where there are
// several, else filters, by the step of their outermost loop. One block where they can't be split.
struct ParallelBlocks {
  Dim dim;
  int64_t step;
  int64_t count;
};
ParallelBlocks parallel_blocks(const LoopNest& nest);

}  // namespace convsmith::ir

// What a nest moves data through: packed weights, and scratch with its layout from the outside in. Sizes
// follow from the loops that copy, so that a nest and its buffers can't disagree. Read by print and by lower.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/nest/nest.hpp"

namespace convsmith::ir {

enum class Storage : uint8_t { kPacked, kScratch };

struct BufferAxis {
  std::string name;  // what runs along it: "f/16", "p" (input positions), "lane"
  int64_t size;
};

struct Buffer {
  std::string name;
  Storage place;
  std::vector<BufferAxis> axes;
  Element element = Element::kFloat32;

  // From one index of the axis to the next.
  int64_t stride_bytes(size_t axis) const;
  int64_t bytes() const;
};

// w, x1 (inputs), y1 (sums) and w1, e1 (weights and operand of joined rows), as far as the nest has them. The
// nest is lowerable and complete.
std::vector<Buffer> buffers(const LoopNest& nest);
const Buffer* find_buffer(const std::vector<Buffer>& buffers, std::string_view name);

// "buffer x1 : f32 [c 8][p 96] in scratch"
std::string print(const Buffer& buffer);

}  // namespace convsmith::ir

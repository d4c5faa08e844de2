#include "frontend/problem.hpp"

#include <algorithm>

namespace convsmith {

int64_t Problem::output_steps(int64_t steps) const {
  if (transposed) {
    return std::max<int64_t>((steps - 1) * stride + span() - pad_left - pad_right, 0);
  }
  if (pad_same) return steps / stride + (steps % stride != 0 ? 1 : 0);
  const int64_t room = steps - span() + pad_left + pad_right;
  return room < 0 ? 0 : room / stride + 1;
}

Problem Problem::without_padding() const {
  Problem p = *this;
  p.pad_same = false;
  p.pad_left = 0;
  p.pad_right = 0;
  return p;
}

int64_t Problem::left_padding(int64_t steps) const {
  if (!pad_same) return pad_left;
  // The last output step looks at span() steps from (outputs - 1) * stride on; the odd cell goes right.
  const int64_t rest = steps % stride == 0 ? stride : steps % stride;
  return std::max<int64_t>(span() - rest, 0) / 2;
}

}  // namespace convsmith

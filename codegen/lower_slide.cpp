// The sliding window: a tile of a depthwise layer whose rows all see all taps, walked by input position.
// Each input is loaded once for all the rows that read it, and each weight once, where registers suffice.
#include <numeric>

#include "codegen/lowerer.hpp"

namespace convsmith::lowering {

namespace {

// Positions, in units of the dilation, from one row of a tile to the next.
int64_t row_positions(const Problem& p) {
  return p.stride / std::gcd(p.stride, p.dilation);
}

}  // namespace

// With the weights of all the taps that rows see at one position.
int64_t Lowerer::slid_registers(int64_t rows, int64_t vectors) const {
  const int64_t alive = std::min(p_.taps, (rows - 1) * row_positions(p_) + 1);
  return vectors * (rows + alive) + 2;
}

void Lowerer::slide(const Tile& t) {
  const int64_t apart = row_positions(p_);
  const P weights = tap_weights(t, b_.iconst(0));
  const int64_t weight_row = 4 * layout_.tile_width(t.units);
  const bool keeps_weights = slid_registers(t.rows, t.vectors) + (t.mask ? 1 : 0) <= target_.vector_registers;
  std::vector<V> taps(static_cast<size_t>(p_.taps * t.vectors));
  const auto load_weight = [&](int64_t k, int64_t v) {
    return b_.load(weights, k * weight_row + 4 * layout_.tile_offset(v * lanes()));
  };
  for (int64_t j = 0; j < p_.taps + (t.rows - 1) * apart; ++j) {
    for (int64_t v = 0; v < t.vectors; ++v) {
      if (keeps_weights && j < p_.taps) taps[static_cast<size_t>(j * t.vectors + v)] = load_weight(j, v);
      if (p_.taps < apart && j % apart >= p_.taps) continue;  // no row reads it
      const V x = b_.vec();
      load_channels(t, x, t.at.in, j * p_.dilation * in_row_, v);
      for (int64_t a = 0; a < t.rows; ++a) {
        const int64_t k = j - a * apart;
        if (k < 0 || k >= p_.taps) continue;
        const V weight = keeps_weights ? taps[static_cast<size_t>(k * t.vectors + v)] : load_weight(k, v);
        const V acc = t.acc[static_cast<size_t>(a * t.vectors + v)];
        b_.fma(acc, x, weight, acc);
      }
    }
  }
}

}  // namespace convsmith::lowering

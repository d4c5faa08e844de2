// The sliding window: a tile of a depthwise layer whose rows all see all taps, walked by input position.
// Each input is loaded once for all the rows that read it, and each weight once, where registers suffice.
#include <algorithm>
#include <numeric>

#include "codegen/lower/lower.hpp"
#include "codegen/lower/lowerer.hpp"

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
  const int64_t weight_row = layout_.row_bytes(t.units);
  const bool keeps_weights = slid_registers(t.rows, t.vectors) + (t.mask ? 1 : 0) <= target_.vector_registers;
  std::vector<V> taps(static_cast<size_t>(p_.taps * t.vectors));
  const auto load_weight = [&](int64_t k, int64_t v) {
    return b_.load(weights, k * weight_row + layout_.offset_bytes(v * lanes()));
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

// Rows that share vectors, walked by the positions of their first row: a blend of inputs serves all the
// vectors that have a tap there. The taps of one vector's rows wait for each other; so the vectors stand in
// several sections that are walked at the same time.
void Lowerer::slide_shared(const Tile& t) {
  const int64_t between_rows = row_positions(p_);
  const int64_t apart = t.blended * between_rows;
  const int64_t vectors = t.rows / t.blended;
  const int64_t section = vectors % kWindowSections == 0 ? vectors / kWindowSections : vectors;
  const int64_t channels = p_.group_channels();
  const P weights = tap_weights(t, b_.iconst(0));
  const int64_t weight_row = layout_.row_bytes(t.units);
  // As many weights as registers are left stay there.
  const int64_t free = target_.vector_registers - vectors - 2;
  std::vector<V> kept;
  for (int64_t i = 0; i < std::min(free, p_.taps * channels); ++i)
    kept.push_back(load_shared(t, weights, i * weight_row));
  const auto weight = [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    return at < kept.size() ? kept[at] : load_shared(t, weights, i * weight_row);
  };
  const auto load = [&](int64_t position, int64_t c) {
    const V x = b_.vec();
    b_.bcast(x, t.at.in, position * p_.dilation * in_row_ + in_bytes_ * c);
    return x;
  };
  const auto position_of = [&](int64_t first, int64_t j, int64_t c) {
    const V x = load(first * apart + j, c);
    for (int64_t i = 1; i < t.blended; ++i) copy_part(t, x, load(first * apart + j + i * between_rows, c), i);
    for (int64_t g = first; g < first + section; ++g) {
      const int64_t k = j - (g - first) * apart;
      if (k < 0 || k >= p_.taps) continue;
      const V sum = t.acc[static_cast<size_t>(g)];
      b_.fma(sum, x, weight(k * channels + c), sum);
    }
  };
  for (int64_t j = 0; j < p_.taps + (section - 1) * apart; ++j) {
    if (p_.taps < apart && j % apart >= p_.taps) continue;  // no row reads it
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t first = 0; first < vectors; first += section) position_of(first, j, c);
    }
  }
}

}  // namespace convsmith::lowering

// Tiles whose last vector the filters fill by no more than half: neighbouring rows share it, two or four of
// them, each with a part of its lanes. The weights stand in every part, and x is a blend of the rows'
// broadcasts, so that one multiply-add serves them all. A row that has no neighbour left leaves the other
// parts idle.
#include "codegen/lower/lowerer.hpp"

namespace convsmith::lowering {

// A tile of one row has no row to share with.
void Lowerer::decide_blend(Tile& t) {
  const bool fits = lanes_ == Dim::kFilter && t.units % lanes() > 0;
  if (shared_rows_ == 0 || !fits || t.rows == 1) return;
  t.blended = shared_rows_;
  if (!target_.mask_registers) return;  // see copy_part
  const int64_t part = lanes() / t.blended;
  for (int64_t i = 0; i < t.blended; ++i) {
    const I first = b_.iconst(i * part);
    t.parts.push_back(b_.between(first, b_.iconst((i + 1) * part)));
  }
}

// The weights or the bias of the last filters, for each row again.
V Lowerer::load_shared(const Tile& t, P weights, int64_t offset) {
  return lanes() / t.blended == 8 ? b_.load8(weights, offset) : b_.load4(weights, offset);
}

// The lanes of one row. Without registers for masks a vector is two blocks of four lanes.
void Lowerer::copy_part(const Tile& t, V to, V from, int64_t part) {
  if (!t.parts.empty()) return b_.select(to, t.parts[static_cast<size_t>(part)], from, to);
  constexpr int64_t kLowThenHigh = 0 | 3 << 4;
  if (part == 0) return b_.blocks(to, from, to, kLowThenHigh);
  b_.blocks(to, to, from, kLowThenHigh);
}

// x of one row, and the sums of the vectors that are its own.
V Lowerer::own_sums(const Tile& t, int64_t row, P in, int64_t in_offset, const std::vector<V>& weights) {
  const V x = b_.vec();
  b_.bcast(x, in, in_offset + row * p_.stride * in_row_);
  for (int64_t v = 0; v < t.own_vectors(); ++v) {
    const V sum = t.sum(row, v);
    b_.fma(sum, x, weights[static_cast<size_t>(v)], sum);
  }
  return x;
}

// One (tap, channel) of rows and all that share vectors with them.
void Lowerer::blended_rows(const Tile& t, const Rows& rows, P in, int64_t in_offset,
                           const std::vector<V>& weights) {
  for (int64_t a = rows.begin; a < rows.end; a += t.blended) {
    const V x = own_sums(t, a, in, in_offset, weights);
    for (int64_t i = 1; i < t.blended && a + i < rows.end; ++i)
      copy_part(t, x, own_sums(t, a + i, in, in_offset, weights), i);
    const V sum = t.sum(a, t.vectors - 1);
    b_.fma(sum, x, weights.back(), sum);
  }
}

// The same of a single row: those that share its vector keep their sums.
void Lowerer::blended_row(const Tile& t, int64_t row, P in, int64_t in_offset,
                          const std::vector<V>& weights) {
  const V x = own_sums(t, row, in, in_offset, weights);
  const V sum = t.sum(row, t.vectors - 1);
  b_.fma(x, x, weights.back(), sum);
  copy_part(t, sum, x, row % t.blended);
}

// Finishes and stores the shared vectors, part by part: only one mask is needed at a time. Where the parts
// are neighbours in memory, a vector is stored whole.
void Lowerer::store_blended(Tile& t) {
  const int64_t last = t.vectors - 1;
  const int64_t part = lanes() / t.blended;
  const int64_t filters = t.units % lanes();
  std::optional<V> bias;
  if (p_.has_bias && !p_.starts_from_bias) bias = load_bias(t, 0, last);
  for (int64_t a = 0; a < t.rows; a += t.blended)
    t.sum(a, last) = finish_vector(t, t.sum(a, last), bias, 0, std::nullopt);
  const bool dense = filters == part && out_row_ == out_bytes_ * part;
  const auto is_whole = [&](int64_t row) {
    return dense && row / t.blended * t.blended + t.blended <= t.rows;
  };
  for (int64_t a = 0; a < t.rows; a += t.blended) {
    if (is_whole(a)) b_.store(t.at.out, a * out_row_, t.sum(a, last));
  }
  for (int64_t i = 0; i < t.blended; ++i) {
    std::optional<M> mask;
    for (int64_t a = i; a < t.rows; a += t.blended) {
      if (is_whole(a)) continue;
      const I first = b_.iconst(i * part);
      if (!mask) mask = b_.between(first, b_.iconst(i * part + filters));
      b_.store(t.at.out, a * out_row_ + last * b_.vector_bytes() - out_bytes_ * i * part, t.sum(a, last),
               *mask);
    }
  }
}

}  // namespace convsmith::lowering

// The epilogue of a register tile: bias, activation, store. Cheap activations run on the
// accumulators; the others, which need more registers than a full tile leaves, run over the stored
// tile while it is still in the first cache.
#include "codegen/lowerer.hpp"
#include "codegen/transpose.hpp"
#include "codegen/vmath.hpp"

namespace convsmith::lowering {

void Lowerer::finish(Tile& t) {
  if (!lanes_over_steps()) return store_rows(t);
  store_filters(t);
}

V Lowerer::finish_vector(V acc, std::optional<V> bias) {
  const V sum = bias ? b_.add(acc, *bias) : acc;
  return activates_sums_ ? emit_activation(b_, p_.activation, sum) : sum;
}

// Rows of steps, vectors of filters or channels.
void Lowerer::store_rows(Tile& t) {
  const std::optional<M> mask = unit_mask(t.units);
  for (int64_t v = 0; v < t.vectors; ++v) {
    std::optional<V> bias;
    if (p_.has_bias) bias = b_.load(t.at.weights, v * b_.vector_bytes());
    for (int64_t a = 0; a < t.rows; ++a) {
      const V y = finish_vector(t.acc[static_cast<size_t>(a * t.vectors + v)], bias);
      const int64_t offset = a * out_row_ + v * b_.vector_bytes();
      if (mask && v + 1 == t.vectors) {
        b_.store(t.at.out, offset, y, *mask);
      } else {
        b_.store(t.at.out, offset, y);
      }
    }
  }
  activate_stored(t.at.out, t.rows, {out_row_, {}}, t.vectors, mask);
}

// Rows of filters, vectors of steps: to the output where steps are neighbours there, else to the sums
// in scratch, always in whole vectors.
void Lowerer::store_filters(Tile& t) {
  const P out = b_.pcopy(t.at.out);
  std::optional<M> mask;
  if (t.cover.valid && !transposes_output_) mask = b_.first(*t.cover.valid);
  for (int64_t a = 0; a < t.rows; ++a) {
    std::optional<V> bias;
    if (p_.has_bias) {
      bias = b_.vec();
      b_.bcast(*bias, t.at.weights, 4 * a);
    }
    for (int64_t v = 0; v < t.vectors; ++v) {
      const V y = finish_vector(t.acc[static_cast<size_t>(a * t.vectors + v)], bias);
      if (mask) {
        b_.store(out, v * b_.vector_bytes(), y, *mask);
      } else {
        b_.store(out, v * b_.vector_bytes(), y);
      }
    }
    if (a + 1 < t.rows) advance(out, out_item_);
  }
  activate_stored(t.at.out, t.rows, out_item_, t.vectors, mask);
}

// Turns the finished sums [filter][step] of one step tile into rows of filters in the output.
void Lowerer::transpose_sums(P out, const Cover& cover) {
  const int64_t filters = cover.groups * cover.filters;
  const P from = b_.paddc(b_.arg_ptr(Arg::kScratch), slab_bytes_);
  const P to = b_.pcopy(out);
  if (filters >= lanes()) {
    b_.loop(b_.iconst(filters / lanes()), "filters", [&] {
      transpose_filters(from, to, lanes(), cover);
      advance(from, times(out_item_, lanes()));
      advance(to, times(out_channel_, lanes()));
    });
  }
  if (filters % lanes() > 0) transpose_filters(from, to, filters % lanes(), cover);
}

void Lowerer::transpose_filters(P from, P to, int64_t filters, const Cover& cover) {
  if (cover.valid) return transpose_vector(from, to, filters, cover.valid);
  const P steps = b_.pcopy(from);
  const P rows = b_.pcopy(to);
  b_.loop(b_.iconst(cover.steps / lanes()), "transpose", [&] {
    transpose_vector(steps, rows, filters, std::nullopt);
    advance(steps, {b_.vector_bytes(), {}});
    advance(rows, {lanes() * out_row_, {}});
  });
}

// One vector of steps of at most `lanes` filters: a row of filters for each step. Where only `valid`
// steps exist they are stored one by one, through a transposed copy at the end of scratch.
void Lowerer::transpose_vector(P from, P to, int64_t filters, std::optional<I> valid) {
  std::vector<V> rows;
  for (int64_t a = 0; a < filters; ++a) rows.push_back(b_.load(from, out_item_.bytes * a));
  const std::vector<V> steps = transpose(b_, rows, lanes());
  if (!valid) {
    const std::optional<M> mask = unit_mask(filters);
    for (size_t j = 0; j < steps.size(); ++j) {
      const int64_t offset = static_cast<int64_t>(j) * out_row_;
      if (mask) {
        b_.store(to, offset, steps[j], *mask);
      } else {
        b_.store(to, offset, steps[j]);
      }
    }
    return;
  }
  const P copy = b_.paddc(b_.arg_ptr(Arg::kScratch), b_.scratch_bytes() - 4 * lanes() * lanes());
  for (size_t j = 0; j < steps.size(); ++j)
    b_.store(copy, static_cast<int64_t>(j) * b_.vector_bytes(), steps[j]);
  const P out = b_.pcopy(to);
  const M mask = b_.first(b_.iconst(filters));
  const I count = b_.icopy(*valid);
  b_.loop(count, "rows", [&] {
    b_.store(out, 0, b_.load(copy, 0), mask);
    advance(copy, {b_.vector_bytes(), {}});
    advance(out, {out_row_, {}});
  });
}

// Runs an activation that is not cheap over `count` stored rows. `last_mask` is of the last vector.
void Lowerer::activate_stored(P rows, int64_t count, const Stride& pitch, int64_t vectors,
                              std::optional<M> last_mask) {
  if (activates_sums_) return;
  const P row = b_.pcopy(rows);
  b_.loop(b_.iconst(count), "activation", [&] {
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t offset = v * b_.vector_bytes();
      if (last_mask && v + 1 == vectors) {
        const V x = b_.vec();
        b_.load(x, row, offset, *last_mask);
        b_.store(row, offset, emit_activation(b_, p_.activation, x), *last_mask);
      } else {
        b_.store(row, offset, emit_activation(b_, p_.activation, b_.load(row, offset)));
      }
    }
    advance(row, pitch);
  });
}

}  // namespace convsmith::lowering

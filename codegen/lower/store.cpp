// The epilogue of a register tile: bias, activation, store. Cheap activations run on the
// accumulators; the others, which need more registers than a full tile leaves, run over the stored
// tile while it is still in the first cache.
#include <bit>

#include "codegen/lower/lowerer.hpp"
#include "codegen/programs/transpose.hpp"
#include "codegen/programs/vmath.hpp"

namespace convsmith::lowering {

void Lowerer::finish(Tile& t) {
  if (t.count) divide_sums(t);
  if (!lanes_over_steps()) return store_rows(t);
  store_filters(t);
}

// Where all taps are there, and they are a power of two, a product with the inverse is the quotient.
void Lowerer::divide_sums(Tile& t) {
  const auto each = [&](vir::Opcode opcode, V by) {
    for (const V acc : t.acc) b_.op(opcode, acc, acc, by);
  };
  if (t.whole_counts) return each(vir::Opcode::kDiv, b_.add(*t.whole_counts, *t.count));
  if (!std::has_single_bit(static_cast<uint64_t>(p_.taps))) return each(vir::Opcode::kDiv, *t.count);
  const I taps = b_.iconst(p_.taps);
  const I fewer = b_.iconst(p_.taps - 1);
  b_.if_less(fewer, *t.cover.tap_count, "all",
             [&] { each(vir::Opcode::kMul, b_.constant(1.0F / static_cast<float>(p_.taps))); });
  b_.if_less(*t.cover.tap_count, taps, "some", [&] { each(vir::Opcode::kDiv, *t.count); });
}

V Lowerer::load_bias(const Tile& t, int64_t row, int64_t vector) {
  if (!lanes_over_steps()) {
    const int64_t offset = layout_.offset_bytes(vector * lanes());
    return vector < t.own_vectors() ? load_units(t, t.at.weights, offset, vector)
                                    : load_shared(t, t.at.weights, offset);
  }
  const V bias = b_.vec();
  b_.bcast(bias, t.at.weights, layout_.offset_bytes(row));
  return bias;
}

// y is the value so far; see Combine.
V Lowerer::combine(V y, V operand) {
  using vir::Opcode;
  const auto keeping_nan = [&](Opcode opcode) {
    const M nan = b_.unordered(y, operand);
    const V sum = b_.add(y, operand);
    const V extreme = b_.vec();
    b_.op(opcode, extreme, y, operand);
    return b_.select(nan, sum, extreme);
  };
  switch (p_.combine) {
    case Combine::kNone:
      return y;
    case Combine::kAdd:
      return b_.add(y, operand);
    case Combine::kSubtract:
      return b_.sub(y, operand);
    case Combine::kSubtractFrom:
      return b_.sub(operand, y);
    case Combine::kMultiply:
      return b_.mul(y, operand);
    case Combine::kDivide:
      return b_.div(y, operand);
    case Combine::kMaximum:
      return keeping_nan(Opcode::kMax);
    case Combine::kMinimum:
      return keeping_nan(Opcode::kMin);
    case Combine::kPrelu:
      break;
  }
  const V zero = b_.constant(0.0F);
  const V minus = b_.bit_xor(y, b_.constant_bits(0x80000000U));
  const V negative = b_.mul(operand, b_.max(zero, minus));
  const V positive = b_.max(zero, y);
  return b_.sub(positive, negative);
}

V Lowerer::load_operand(P operand, int64_t offset, bool per_lane, std::optional<M> mask) {
  const V value = b_.vec();
  if (!per_lane) {
    b_.bcast(value, operand, offset);
  } else if (mask) {
    b_.load(value, operand, offset, *mask);
  } else {
    b_.load(value, operand, offset);
  }
  return value;
}

V Lowerer::epilogue(V y, const std::optional<P>& operand, int64_t offset, bool per_lane,
                    std::optional<M> mask) {
  const V activated = emit_activation(b_, p_.activation, y);
  if (!operand) return activated;
  const V other = load_operand(*operand, offset, per_lane, mask);
  return emit_activation(b_, p_.after, combine(activated, other));
}

// Bias, and what can be done in registers of the rest.
V Lowerer::finish_vector(const Tile& t, V acc, std::optional<V> bias, int64_t operand_offset,
                         std::optional<M> mask) {
  const V sum = bias ? b_.add(acc, *bias) : acc;
  if (!finishes_sums_) return sum;
  const bool per_lane = lanes_over_steps() ? p_.operand_has_steps : p_.operand_has_channels;
  return epilogue(sum, t.at.operand, operand_offset, per_lane, mask);
}

bool Lowerer::may_stream(const Tile& t) const {
  return streams_ && finishes_sums_ && t.rows == tile_steps_ && t.units % lanes() == 0;
}

// Asks for the lines that a tile is going to write: stores wait for their lines one by one.
void Lowerer::ask_for_outputs(const Tile& t) {
  constexpr int64_t kLine = 64;
  const I keeps = b_.iconst(kKeeps);
  b_.if_less(*streams_, keeps, "ask", [&] {
    for (int64_t a = 0; a < t.rows; ++a) {
      for (int64_t byte = 0; byte <= out_bytes_ * t.units; byte += kLine)
        b_.prefetch(t.at.out, a * row_distance_ * out_row_ + byte);
    }
  });
}

// Rows of steps, vectors of filters or channels.
void Lowerer::store_rows(Tile& t) {
  if (t.blended > 1) store_blended(t);
  const std::optional<M> unit_lanes = t.blended > 1 ? std::nullopt : unit_mask(t.units);
  for (int64_t v = 0; v < t.own_vectors(); ++v) {
    const std::optional<M> mask = v + 1 == t.vectors ? unit_lanes : std::nullopt;
    std::optional<V> bias;
    if (p_.has_bias && !p_.starts_from_bias) bias = load_bias(t, 0, v);
    const int64_t column = v * b_.vector_bytes();
    for (int64_t a = 0; a < t.rows; ++a) {
      const int64_t operand = a * row_distance_ * operand_row_ + (p_.operand_has_channels ? column : 0);
      V& acc = t.sum(a, v);
      acc = finish_vector(t, acc, bias, operand, mask);
      if (!may_stream(t)) store_row(t, a, v, false, mask);
    }
  }
  if (may_stream(t)) {
    const auto store_all = [&](bool stream) {
      for (int64_t a = 0; a < t.rows; ++a) {
        for (int64_t v = 0; v < t.vectors; ++v) store_row(t, a, v, stream, {});
      }
    };
    const I keeps = b_.iconst(kKeeps);
    b_.if_less(keeps, *streams_, "stream", [&] { store_all(true); });
    const I streams = b_.iconst(kStreams);
    b_.if_less(*streams_, streams, "store", [&] { store_all(false); });
  }
  if (finishes_sums_) return;
  finish_steps(t.at, b_.iconst(t.rows), row_distance_, t.units);
}

void Lowerer::store_row(const Tile& t, int64_t row, int64_t vector, bool stream, std::optional<M> mask) {
  const V y = t.sum(row, vector);
  const int64_t offset = row * row_distance_ * out_row_ + vector * b_.vector_bytes();
  if (stream) {
    b_.stream(t.at.out, offset, y);
  } else if (mask) {
    b_.store(t.at.out, offset, y, *mask);
  } else {
    b_.store(t.at.out, offset, y);
  }
}

// Rows of filters, vectors of steps.
void Lowerer::store_filters(Tile& t) {
  const Cursor at = copied(t.at);
  const CursorStride filter{{}, memory_.out_item, {}, operand_channel_};
  std::optional<M> mask;
  if (t.cover.valid) mask = b_.first(*t.cover.valid);
  for (int64_t a = 0; a < t.rows; ++a) {
    std::optional<V> bias;
    if (p_.has_bias && !p_.starts_from_bias) bias = load_bias(t, a, 0);
    Tile row = t;
    row.at.operand = at.operand;
    for (int64_t v = 0; v < t.vectors; ++v) {
      const int64_t column = v * memory_.out_vector;
      const V acc = t.acc[static_cast<size_t>(a * t.vectors + v)];
      const V y = finish_vector(row, acc, bias, p_.operand_has_steps ? column : 0, mask);
      if (mask) {
        b_.store(at.out, column, y, *mask);
      } else {
        b_.store(at.out, column, y);
      }
    }
    if (a + 1 < t.rows) advance(at, filter);
  }
  if (memory_.lifted || finishes_sums_) return;
  finish_stored(
      {t.at.out, t.at.operand, memory_.out_item, operand_channel_, t.vectors, mask, p_.operand_has_steps},
      b_.iconst(t.rows));
}

// One vector of steps of at most `lanes` filters: a row of filters for each step.
void Lowerer::transpose_vector(P from, P to, int64_t filters) {
  std::vector<V> rows;
  for (int64_t a = 0; a < filters; ++a) rows.push_back(b_.load(from, memory_.out_item.bytes * a));
  const std::vector<V> steps = transpose(b_, rows, lanes());
  const std::optional<M> mask = unit_mask(filters);
  for (size_t j = 0; j < steps.size(); ++j) {
    const int64_t offset = static_cast<int64_t>(j) * out_row_;
    if (mask) {
      b_.store(to, offset, steps[j], *mask);
    } else {
      b_.store(to, offset, steps[j]);
    }
  }
}

// Runs an epilogue that is not cheap over stored rows.
void Lowerer::finish_stored(const StoredRows& rows, I count) {
  const P row = b_.pcopy(rows.out);
  std::optional<P> operand;
  if (rows.operand) operand = b_.pcopy(*rows.operand);
  b_.loop(count, "epilogue", [&] {
    for (int64_t v = 0; v < rows.vectors; ++v) {
      const int64_t offset = v * b_.vector_bytes();
      const std::optional<M> mask = v + 1 == rows.vectors ? rows.last_mask : std::nullopt;
      const V x = load_operand(row, offset, true, mask);
      const V y = epilogue(x, operand, rows.operand_per_lane ? offset : 0, rows.operand_per_lane, mask);
      if (mask) {
        b_.store(row, offset, y, *mask);
      } else {
        b_.store(row, offset, y);
      }
    }
    advance(row, rows.out_pitch);
    if (operand) advance(*operand, rows.operand_pitch);
  });
}

// The epilogue of `steps` stored output steps, `distance` apart, of `units` filters each.
void Lowerer::finish_steps(const Cursor& at, I steps, int64_t distance, int64_t units) {
  const bool operand_is_dense =
      !at.operand || (p_.operand_has_steps && p_.operand_has_channels && operand_row_ == out_bytes_ * units);
  if (out_row_ == out_bytes_ * units && operand_is_dense && distance == 1)
    return finish_run(at, steps, units);
  const CursorStride vector{{}, times(out_channel_, lanes()), {}, times(operand_channel_, lanes())};
  const Cursor here = copied(at);
  const auto column = [&](std::optional<M> mask) {
    finish_stored({here.out,
                   here.operand,
                   {distance * out_row_, {}},
                   {distance * operand_row_, {}},
                   1,
                   mask,
                   p_.operand_has_channels},
                  b_.icopy(steps));
  };
  if (units >= lanes()) {
    b_.loop(b_.iconst(units / lanes()), "columns", [&] {
      column(std::nullopt);
      advance(here, vector);
    });
  }
  if (units % lanes() > 0) column(unit_mask(units));
}

// The same where the steps are one run of floats. Row by row, the masked vectors of narrow rows would
// overlap, and each load would wait for the store before it.
void Lowerer::finish_run(const Cursor& at, I steps, int64_t units) {
  const Cursor here = copied(at);
  const I floats = b_.imulc(steps, units);
  const I vectors = b_.idivc(floats, lanes());
  const I rest = b_.isub(floats, b_.imulc(vectors, lanes()));
  const StoredRows rows{here.out,     here.operand, {b_.vector_bytes(), {}}, {b_.vector_bytes(), {}}, 1,
                        std::nullopt, true};
  finish_stored(rows, b_.icopy(vectors));
  const CursorStride vector{{}, rows.out_pitch, {}, rows.operand_pitch};
  const Cursor end = moved(here, vectors, vector);
  b_.if_less(b_.iconst(0), rest, "rest", [&] {
    StoredRows last = rows;
    last.out = end.out;
    last.operand = end.operand;
    last.last_mask = b_.first(rest);
    finish_stored(last, b_.iconst(1));
  });
}

}  // namespace convsmith::lowering

// Staging for lanes over steps: the input of one step tile goes to scratch so that neighbouring
// output steps read neighbouring floats. Position q*stride + phase of channel c lies at row
// phase*channels + c, column q of the slab, counted from the tile's first position.
#include <numeric>

#include "codegen/lowerer.hpp"
#include "codegen/transpose.hpp"

namespace convsmith::lowering {

Cursor Lowerer::stage(const Cursor& at, const Cover& cover) {
  const P slab = b_.arg_ptr(Arg::kScratch);
  const I steps = cover.valid ? *cover.valid : b_.iconst(cover.steps);
  // Without a tap inside the input there is nothing to read.
  b_.if_less(b_.iconst(0), *cover.tap_count, "stage", [&] {
    if (p_.layout == Layout::kChannelsLast) {
      stage_channels_last(at.in, slab, steps, cover);
    } else {
      stage_channels_first(at.in, slab, steps, cover);
    }
  });
  return {slab, at.out, at.weights, at.operand};
}

// Phase by phase, a matrix [steps][channels] whose rows lie stride positions apart. Only positions up
// to the one that the last step's last tap looks at are read.
void Lowerer::stage_channels_last(P from, P slab, I steps, const Cover& cover) {
  const int64_t common = std::gcd(p_.dilation, p_.stride);
  const int64_t phases = p_.taps == 1 ? 1 : p_.stride / common;
  const I reach = b_.imulc(b_.iaddc(*cover.tap_count, -1), p_.dilation);
  const int64_t channels = cover.groups * p_.group_channels();
  const auto phase = [&](P source, P target, I ahead) {
    const I rows = b_.iadd(steps, p_.stride == 1 ? ahead : b_.idivc(ahead, p_.stride));
    transpose_matrix({source, p_.stride * in_row_, channels, target, 4 * slab_pitch_}, rows);
  };
  if (phases == 1) return phase(from, slab, reach);
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(slab);
  const I ahead = b_.icopy(reach);
  b_.loop(b_.iconst(phases), "phase", [&] {
    phase(source, target, ahead);
    advance(source, {common * in_row_, {}});
    advance(target, {4 * common * slab_channels_ * slab_pitch_, {}});
    b_.iaddc(ahead, ahead, -common);
  });
}

// Channel by channel, a matrix [steps][phases] of neighbouring floats, whose last row is short.
void Lowerer::stage_channels_first(P from, P slab, I steps, const Cover& cover) {
  const I reach = b_.imulc(b_.iaddc(*cover.tap_count, -1), p_.dilation);
  const I span = b_.iaddc(b_.iadd(b_.imulc(b_.iaddc(steps, -1), p_.stride), reach), 1);
  const I rows = b_.idivc(span, p_.stride);
  const I short_row = b_.isub(span, b_.imulc(rows, p_.stride));
  const int64_t phase_bytes = 4 * slab_pitch_ * slab_channels_;
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(slab);
  b_.loop(b_.iconst(cover.groups * p_.group_channels()), "c", [&] {
    transpose_matrix({source, 4 * p_.stride, p_.stride, target, phase_bytes}, rows);
    const P x = moved(source, rows, {4 * p_.stride, {}});
    const P y = moved(target, rows, {4, {}});
    const I count = b_.icopy(short_row);
    const M one = b_.first(b_.iconst(1));
    b_.loop(count, "short", [&] {
      const V value = b_.vec();
      b_.bcast(value, x, 0);
      b_.store(y, 0, value, one);
      advance(x, {4, {}});
      advance(y, {phase_bytes, {}});
    });
    advance(source, in_channel_);
    advance(target, {4 * slab_pitch_, {}});
  });
}

// Blocks of lanes x lanes. The last block of rows slides back over rows already done; fewer rows
// than one block are copied float by float.
void Lowerer::transpose_matrix(const Matrix& m, I rows) {
  const I block = b_.iconst(lanes());
  b_.if_less(rows, block, "few", [&] { copy_short(m, rows); });
  b_.if_less(b_.iconst(lanes() - 1), rows, "blocks", [&] {
    const I last = b_.isub(rows, block);
    const I q = b_.icopy(b_.iconst(0));
    b_.while_less(q, rows, "q", [&] {
      const I row = b_.imin(q, last);
      const P from = moved(m.from, row, {m.row_bytes, {}});
      const P to = moved(m.to, row, {4, {}});
      const int64_t whole = m.columns / lanes();
      const auto next = [&] {
        advance(from, {b_.vector_bytes(), {}});
        advance(to, {m.column_bytes * lanes(), {}});
      };
      if (whole > 0) {
        b_.loop(b_.iconst(whole), "columns", [&] {
          transpose_block(from, m.row_bytes, lanes(), to, m.column_bytes);
          next();
        });
      }
      if (m.columns % lanes() > 0)
        transpose_block(from, m.row_bytes, m.columns % lanes(), to, m.column_bytes);
      b_.iaddc(q, q, lanes());
    });
  });
}

void Lowerer::transpose_block(P from, int64_t row_bytes, int64_t columns, P to, int64_t column_bytes) {
  const std::optional<M> mask = unit_mask(columns);
  std::vector<V> rows;
  for (int64_t j = 0; j < lanes(); ++j) {
    const V row = b_.vec();
    if (mask) {
      b_.load(row, from, j * row_bytes, *mask);
    } else {
      b_.load(row, from, j * row_bytes);
    }
    rows.push_back(row);
  }
  const std::vector<V> turned = transpose(b_, rows, columns);
  for (size_t j = 0; j < turned.size(); ++j) b_.store(to, static_cast<int64_t>(j) * column_bytes, turned[j]);
}

void Lowerer::copy_short(const Matrix& m, I rows) {
  const P row = b_.pcopy(m.from);
  const P to = b_.pcopy(m.to);
  const M one = b_.first(b_.iconst(1));
  const I count = b_.icopy(rows);
  b_.loop(count, "row", [&] {
    const P x = b_.pcopy(row);
    const P y = b_.pcopy(to);
    b_.loop(b_.iconst(m.columns), "column", [&] {
      const V value = b_.vec();
      b_.bcast(value, x, 0);
      b_.store(y, 0, value, one);
      advance(x, {4, {}});
      advance(y, {m.column_bytes, {}});
    });
    advance(row, {m.row_bytes, {}});
    advance(to, {4, {}});
  });
}

}  // namespace convsmith::lowering

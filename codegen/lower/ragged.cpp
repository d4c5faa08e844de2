// Tiles whose rows see different taps, because the input begins or ends under them. Rows are in ascending
// order, and so are the positions they read: the taps of a tile are some that only its last rows see, some
// that all rows see, and some that only its first rows see, each perhaps none. No row sums a product with
// padding.
#include "codegen/lower/lowerer.hpp"
#include "ir/nest/band.hpp"

namespace convsmith::lowering {

namespace {
constexpr int64_t kLongWindow = 16;  // taps
constexpr int64_t kTogether = 4;     // rows that share weights there
}  // namespace

void Lowerer::ragged(Tile& t) {
  VirInts z{b_};
  const I steps = *t.cover.input_steps;
  const I first = b_.isub(z.mulc(*t.cover.step, p_.stride), *t.cover.pad_left);
  // Most tiles stand where all rows see all taps, and are spared the arithmetic.
  const int64_t reach = (t.rows - 1) * row_distance_;
  const ir::TapRange<I> top{b_.iconst(0), b_.iconst(p_.taps)};
  const ir::TapRange<I> bottom = t.rows == 1 ? top : ir::TapRange<I>{b_.iconst(0), b_.iconst(p_.taps)};
  const I from_begin = b_.isub(*t.cover.step, *t.cover.inside_begin);
  const I to_end = b_.iaddc(b_.isub(*t.cover.inside_end, *t.cover.step), -reach - 1);
  const I inside = b_.imin(from_begin, to_end);
  const I zero = b_.iconst(0);
  b_.if_less(inside, zero, "outside", [&] {
    const auto find = [&](I position, const ir::TapRange<I>& into) {
      const ir::TapRange<I> taps = ir::taps_at(z, p_, position, steps, into);
      b_.icopy(into.begin, taps.begin);
      b_.icopy(into.end, taps.end);
    };
    find(first, top);
    if (t.rows > 1) find(b_.iaddc(first, reach * p_.stride), bottom);
  });
  const I all_end = b_.imax(top.begin, bottom.end);
  const I all = b_.isub(all_end, top.begin);
  const auto walk = [&] {
    const P in = moved(t.at.in, bottom.begin, {p_.dilation * in_row_, {}});
    const P weights = tap_weights(t, bottom.begin);
    if (t.rows == 1) return taps(t, in, weights, all);
    const I position = b_.iadd(first, z.mulc(bottom.begin, p_.dilation));
    const I some = b_.isub(top.begin, bottom.begin);
    // Twice the same code: before and behind the taps that all rows see.
    b_.loop(b_.iconst(2), "side", [&] {
      some_rows(t, in, weights, position, steps, some);
      taps(t, in, weights, all);
      b_.iadd(position, position, z.mulc(all, p_.dilation));
      b_.icopy(some, b_.isub(top.end, all_end));
      b_.iconst(all, 0);
    });
  };
  // Each vector that rows share must be whole.
  const bool shares = t.blended > 1 && t.rows % t.blended == 0;
  if (!skews_ || t.rows < tile_steps_ || (lanes_ == Dim::kFilter && !shares)) return walk();
  const I missing = b_.isub(b_.iconst(p_.taps), all);
  const I none = b_.iconst(0);
  b_.if_less(none, missing, "edge", walk);
  const I one = b_.iconst(1);
  b_.if_less(missing, one, "inside", [&] { shares ? slide_shared(t) : slide(t); });
}

// `count` taps that some of the rows see. `position` is where row 0 stands at the first of them; it and the
// pointers move past them. Much of the work of long windows may lie here: there, rows are tested once a tap
// instead of once a product, and share weights where all of a few see the tap.
void Lowerer::some_rows(Tile& t, P in, P weights, I position, I steps, I count) {
  b_.loop(b_.icopy(count), "k.some", [&] {
    const Rows::Seen seen{position, steps};
    if (p_.taps < kLongWindow || p_.group_channels() == 1 || is_wide(t)) {
      channels(t, in, weights, {0, t.rows, seen}, 1);
    } else {
      some_groups_of_rows(t, in, weights, seen);
    }
    advance(in, {p_.dilation * in_row_, {}});
    advance(weights, {layout_.row_bytes(t.units) * p_.group_channels(), {}});
    b_.iaddc(position, position, p_.dilation);
  });
}

void Lowerer::some_groups_of_rows(const Tile& t, P in, P weights, const Rows::Seen& seen) {
  const I zero = b_.iconst(0);
  const auto where_seen = [&](int64_t row, const auto& body) {
    b_.within(seen.position, row * row_distance_ * p_.stride, seen.steps, body);
  };
  for (int64_t begin = 0; begin < t.rows; begin += kTogether) {
    const int64_t end = std::min(begin + kTogether, t.rows);
    const I apart = b_.iconst(1);
    where_seen(begin, [&] {
      where_seen(end - 1, [&] {
        channels(t, in, weights, {begin, end, {}}, 1);
        b_.iconst(apart, 0);
      });
    });
    if (end - begin == 1) continue;
    b_.if_less(zero, apart, "rows.some", [&] {
      for (int64_t a = begin; a < end; ++a)
        where_seen(a, [&] { channels(t, in, weights, {a, a + 1, {}}, 1); });
    });
  }
}

}  // namespace convsmith::lowering

#include "codegen/schedule/choose_schedule.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "codegen/lower/lifted_block.hpp"
#include "codegen/lower/lower.hpp"
#include "codegen/schedule/cache_blocking.hpp"
#include "codegen/schedule/schedule_forms.hpp"
#include "frontend/base/ceil_div.hpp"

namespace convsmith {

namespace {

using ir::Schedule;

// Units of a panel that all targets' vectors fill.
constexpr int64_t kPanel = 16;

// Whether a tile is whole panels, or all there is.
bool fills_panels(int64_t vectors, int64_t total, const Target& target) {
  return vectors * target.lanes % kPanel == 0 || vectors == total;
}

// Products that a sliding window writes out, which bounds its code.
constexpr int64_t kMostProducts = 600;

// The same where rows share vectors: a blend for several of them needs more code.
constexpr int64_t kMostSharedProducts = 400;

// A register tile: `rows` accumulators high, `vectors` wide.
struct TileShape {
  int64_t rows;
  int64_t vectors;
  int64_t blend = 0;  // rows that share the last vector
  bool slide = false;
};

// Rows that share a vector of weights: more would save few loads, lengthen the code, and make more tiles
// straddle an edge. A single vector of weights needs more of them, where long sums pay for that.
constexpr int64_t kMostRows = 14;
constexpr int64_t kMostRowsOfOne = 21;
constexpr int64_t kLongSum = 512;  // products

// Registers that an epilogue takes beside the bias: the operand, and what combining it or dividing a mean
// needs.
int64_t epilogue_registers(const Problem& p) {
  return (p.combine == Combine::kNone ? 0 : 3) + (p.reduce == Reduce::kMultiplyAdd ? 0 : 3);
}

// Rows of accumulators that leave four registers for shared vectors and for the epilogue.
int64_t rows_that_fit(const Target& target, int64_t vectors, const Problem& p) {
  return std::max<int64_t>(1, (target.vector_registers - 4 - epilogue_registers(p)) / vectors);
}

// Accumulators of `rows` rows of `vectors` vectors, the last of which `blend` rows share.
int64_t accumulators(int64_t rows, int64_t vectors, int64_t blend) {
  return blend == 0 ? rows * vectors : rows * (vectors - 1) + ceil_div(rows, blend);
}

// Rows of accumulators that fit beside the vectors that they share.
int64_t rows_beside_shared(const Target& target, int64_t vectors, int64_t blend, const Problem& p) {
  const int64_t inputs = blend == 0 ? 1 : 2;
  const int64_t registers = target.vector_registers - std::max(4 + epilogue_registers(p), inputs + vectors);
  const bool is_long = vectors == 1 && blend == 0 && p.taps * p.group_channels() >= kLongSum;
  int64_t rows = std::min(is_long ? kMostRowsOfOne : kMostRows, rows_in_ways(p, target));
  while (rows > 1 && accumulators(rows, vectors, blend) > registers) --rows;
  return rows;
}

// Issue slots for a row of `vectors` vectors, the last of which `blend` rows share. Where that is the only
// one, its loads are what it waits for.
double row_slots(const Problem& p, const Target& target, int64_t vectors, int64_t blend) {
  if (blend == 0) return static_cast<double>(vectors);
  const auto shared = static_cast<double>(blend);
  const double slots = static_cast<double>(vectors - 1) + (1 + (shared - 1) * target.blend_slots) / shared;
  // What a tile does once for its shared vectors: their masks and stores.
  const double once = 3.0 / static_cast<double>(p.taps * p.group_channels());
  return std::max(slots, 0.85) + once;
}

// Issue slots for a row and product of a sliding window whose rows share their only vector: see
// Lowerer::slide_shared. Loads take as long, two beside two multiply-adds.
double window_slots(const Problem& p, const Target& target, int64_t rows, int64_t blend) {
  const int64_t vectors = rows / blend;
  const int64_t apart = blend * p.stride / p.dilation;
  const int64_t products = p.taps * p.group_channels();
  const int64_t between = vectors / kWindowSections * std::min(apart, p.taps) - std::min(apart, p.taps);
  const int64_t inputs = kWindowSections * (p.taps + between) * p.group_channels();
  const int64_t kept = std::clamp<int64_t>(target.vector_registers - vectors - 2, 0, products);
  const double slots = static_cast<double>(vectors * products) +
                       static_cast<double>(inputs * (blend - 1)) * target.blend_slots;
  const auto loads = static_cast<double>(inputs * blend + kept + (products - kept) * vectors);
  return std::max(slots, loads) / static_cast<double>(rows * products);
}

double tile_slots(const Problem& p, const Target& target, const TileShape& tile) {
  return tile.slide ? window_slots(p, target, tile.rows, tile.blend)
                    : row_slots(p, target, tile.vectors, tile.blend);
}

// The sliding window that takes the fewest slots, or `tile` where that takes fewer.
TileShape better_window(const Problem& p, const Target& target, const TileShape& tile) {
  if (tile.vectors > 1 || p.group_filters() > target.lanes || p.taps == 1 || p.stride % p.dilation != 0)
    return tile;
  TileShape best = tile;
  for (const int64_t blend : {2, 4}) {
    if (!ir::can_blend(p, target.lanes, blend)) continue;
    for (int64_t rows = 24; rows >= 8; rows -= 2 * blend) {
      const int64_t vectors = rows / blend;
      if (vectors * p.taps * p.group_channels() > kMostSharedProducts) continue;
      if (vectors > target.vector_registers - 4 - epilogue_registers(p)) continue;
      const TileShape window{rows, 1, blend, true};
      if (tile_slots(p, target, window) < tile_slots(p, target, best)) best = window;
    }
  }
  return best;
}

// What so many loads for each multiply-add cost: a little beside it, and from one on their own time.
double load_cost(double loads) {
  return std::max(1 + 0.08 * loads, 1.04 * loads);
}

// Lanes over filters: the width that leaves the fewest idle registers over all blocks, and among those the
// one with the fewest loads, of inputs and of weights.
TileShape filter_tile(const Problem& p, const Target& target, bool in_panels, bool may_blend) {
  // A product takes a subroutine there: small code is all that a tile can gain.
  if (!target.fused_multiply_add)
    return {1, std::min(ceil_div(p.group_filters(), target.lanes), kPanel / target.lanes)};
  const int64_t total = ceil_div(p.group_filters(), target.lanes);
  TileShape best{1, 1};
  double best_cost = 1e30;
  for (const int64_t blend : {4, 2, 0}) {
    for (const int64_t vectors : {2, 3, 1, 4, 5}) {
      const bool fits = vectors <= total && (vectors <= 4 || vectors == total) &&
                        (!in_panels || fills_panels(vectors, total, target));
      if (!fits || (blend > 0 && !(may_blend && ir::can_blend(p, target.lanes, blend)))) continue;
      const int64_t rows = rows_beside_shared(target, vectors, vectors == total ? blend : 0, p);
      const auto block_cost = [&](int64_t width, int64_t shares) {
        const double loads = load_cost(1.0 / static_cast<double>(width) + 1.0 / static_cast<double>(rows));
        const double stream = weight_stream(p, target, width) / static_cast<double>(rows) +
                              input_stream(p, target, rows, vectors) / static_cast<double>(width);
        const double slots = row_slots(p, target, width, shares);
        const double idle =
            std::max(1.0, static_cast<double>(target.sums_in_flight) / (static_cast<double>(rows) * slots));
        return slots * (loads + stream) * idle;
      };
      const int64_t before = (total - 1) / vectors;  // blocks before the last one
      const double cost =
          static_cast<double>(before) * block_cost(vectors, 0) + block_cost(total - before * vectors, blend);
      if (cost < best_cost - 1e-9) {
        best_cost = cost;
        best = {rows, vectors, blend};
      }
    }
  }
  if (may_blend) best = better_window(p, target, best);
  // Displacements of a tile's rows are 32 bits.
  while (best.rows > 1 && best.rows * p.stride * p.in_pitch() * 4 > (int64_t{1} << 29)) best.rows /= 2;
  return best;
}

// Lanes over steps: filters of a block, and vectors of steps beside them.
TileShape step_tile(const Problem& p, const Target& target) {
  const int64_t most = std::min<int64_t>(target.lanes, target.vector_registers == 32 ? 8 : 6);
  const int64_t blocks = ceil_div(p.group_filters(), most);
  const int64_t filters = ceil_div(p.group_filters(), blocks);
  // Vectors of x, accumulators, one weight; a mask may need a vector as well.
  const int64_t registers = target.vector_registers - 2 - epilogue_registers(p);
  const int64_t vectors = std::clamp<int64_t>(registers / (filters + 1), 1, 8);
  return {filters, vectors};
}

// The largest divisor of `items` whose unrolled body stays small.
int64_t unroll_factor(int64_t items, int64_t fma_count) {
  for (int64_t u = std::clamp<int64_t>(64 / fma_count, 1, 8); u > 1; --u) {
    if (items % u == 0) return u;
  }
  return 1;
}

// What a tile takes beside its sums: loops that begin and end.
constexpr double kTileCycles = 10;

// Steps of a call that a rule should suit: half a tile of them is left, or made in vain.
constexpr double kTypicalSteps = 300;

// How lanes over steps make the steps that see all taps, see StepKind::kLift.
struct LiftShape {
  int64_t vectors = 0;  // of steps of a tile; 0: lanes over filters are cheaper
  bool near = false;
};

// Cycles that turn inputs and sums of a vector of neighbouring steps: see Lowerer::near_in and near_out. Most
// shuffles wait for the one port that runs them, few beside multiply-adds.
double near_moving(const Problem& p, const Target& target) {
  constexpr double kShuffle = 0.95;
  const int64_t lanes = target.lanes;
  double cycles = p.channels == 1 ? 0 : kShuffle * static_cast<double>(ceil_div(p.channels, 4) * (lanes + 4));
  if (!ir::turns_near_sums(p)) return cycles;
  const int64_t zips = std::bit_width(static_cast<uint64_t>(lanes)) - 1;
  return cycles +
         (p.filters % 4 == 0 && p.filters <= lanes && p.out_pitch() == p.filters
              ? kShuffle * static_cast<double>(p.filters * zips)
              : turning(target, lanes) * static_cast<double>(p.filters) / static_cast<double>(lanes));
}

// A far lane's positions and its steps are each one run of floats.
bool may_be_far(const Problem& p) {
  return p.in_pitch() == p.channels && p.out_pitch() == p.filters;
}

// Whether lanes over neighbouring steps are worth a thought: the staged input stays near, and is much more
// than what tiles read of it twice; outputs are whole vectors. Of many channels far lanes are as good, as
// long as the second cache holds their block: a single filter would wait for vectors that straddle two lines.
bool may_be_near(const Problem& p, const Target& target) {
  if (!ir::can_be_near(p, target.lanes)) return false;
  if (p.channels == 1) return true;
  const int64_t reach = (p.taps - 1) * p.dilation;
  if (p.channels <= target.lanes)
    return (p.filters % 4 == 0 || !may_be_far(p)) && 2 * reach <= target.l1_bytes / 4 / p.channels;
  const int64_t window = 4 * p.channels * (reach + 2 * target.lanes);
  const bool is_far_slow = p.filters > 1 && lifted_block(p, target, 1, 1).bytes > target.l2_bytes;
  return window <= target.l2_bytes / 2 && (is_far_slow || !may_be_far(p));
}

// Cycles for a vector of inputs that comes from the second cache, and more where it comes from beyond.
constexpr double kFromL2 = 1.5;
constexpr double kBeyondL2 = 4.5;

// Cycles for a vector of steps.
double lifted_cycles(const Problem& p, const Target& target, const LiftShape& lift) {
  const int64_t filters = p.group_filters();
  const auto sums = static_cast<double>(lift.vectors * filters);
  // An unaligned vector is two loads where vectors are cache lines, else every other time.
  const double inputs = lift.near ? 1 + target.lanes / 16.0 : 1;
  const double loads = inputs / static_cast<double>(filters) + 1 / static_cast<double>(lift.vectors);
  const auto reduction = static_cast<double>(p.taps * p.group_channels());
  // Small tiles run beside their neighbours.
  const double idle = std::max(0.0, static_cast<double>(target.sums_in_flight) / sums - 1) *
                      std::min(1.0, sums * reduction / 200);
  // The sums of a tile that is written out begin and end beside the products of others.
  const bool beside = lift.near && sums * reduction <= kMostWrittenOut;
  double cycles = static_cast<double>(p.filters) *
                  (0.5 * reduction * load_cost(loads) * (1 + idle) + (beside ? 0 : kSumCycles));
  if (lift.near) {
    cycles += near_moving(p, target);
    if (p.channels > target.lanes) cycles += kFromL2 * reduction;
  } else {
    const LiftedBlock block = lifted_block(p, target, lift.vectors);
    cycles += block.moving;
    const auto inputs_read = static_cast<double>(p.taps * p.channels);
    // Inputs that the first cache does not hold, or not even the second.
    const auto past = [&](double bytes) {
      return std::clamp(static_cast<double>(block.bytes) / bytes - 1, 0.0, 1.0);
    };
    cycles += kFromL2 * inputs_read * past(0.875 * static_cast<double>(target.l1_bytes)) +
              kBeyondL2 * inputs_read * past(static_cast<double>(target.l2_bytes));
  }
  const auto vectors = static_cast<double>(lift.vectors);
  if (!beside) cycles += kTileCycles * static_cast<double>(p.groups) / vectors;
  return cycles * (1 + vectors * target.lanes / 2 / kTypicalSteps);
}

// The same for lanes over filters.
double filter_cycles(const Problem& p, const Target& target, const TileShape& tile) {
  const auto reduction = static_cast<double>(p.taps * p.group_channels());
  const auto blocks =
      static_cast<double>(ceil_div(p.group_filters(), target.lanes)) / static_cast<double>(tile.vectors);
  const auto sums =
      static_cast<double>(accumulators(tile.rows, tile.vectors, tile.blend)) / static_cast<double>(tile.rows);
  return static_cast<double>(p.groups * target.lanes) * blocks *
         (0.54 * reduction * tile_slots(p, target, tile) + kSumCycles * sums);
}

// Lanes over filters idle where filters do not fill them; lanes over steps pay for turning input and output.
LiftShape lift_shape(const Problem& p, const Target& target, const TileShape& tile, bool in_panels) {
  if (p.combine != Combine::kNone) return {};
  const int64_t filters = p.group_filters();
  if (filters % target.lanes == 0) return {};
  // A product takes a subroutine there.
  if (!target.fused_multiply_add && filters > target.lanes) return {};
  // Ties go to lanes over filters. These also make the edges, without shared vectors.
  const double over_filters = filter_cycles(p, target, tile);
  const double at_edges = filter_cycles(p, target, filter_tile(p, target, in_panels, false));
  const double edges = static_cast<double>((p.taps - 1) * p.dilation / p.stride) / kTypicalSteps;
  double least = 0.96 * over_filters - edges * std::max(0.0, at_edges - over_filters);
  LiftShape best;
  // Beside the accumulators stand vectors of x, which a single filter does not need, and a weight; later the
  // epilogue.
  const int64_t summing =
      filters == 1 ? target.vector_registers - 2 : (target.vector_registers - 2) / (filters + 1);
  const int64_t most = std::min({summing, rows_that_fit(target, filters, p), ir::kMostLifted});
  for (const bool near : {true, false}) {
    if (near ? !may_be_near(p, target) : !may_be_far(p)) continue;
    for (int64_t vectors = 1; vectors <= most; ++vectors) {
      const double cycles = lifted_cycles(p, target, {vectors, near});
      if (cycles < least) {
        least = cycles;
        best = {vectors, near};
      }
    }
  }
  return best;
}

// Vectors of a tile of one step: enough accumulators beside each other.
int64_t one_step_vectors(const Problem& p, const Target& target, int64_t units, bool in_panels) {
  const int64_t total = ceil_div(units, target.lanes);
  int64_t vectors = std::min(total, rows_that_fit(target, 2, p));
  while (in_panels && vectors > 1 && !fills_panels(vectors, total, target)) --vectors;
  return vectors;
}

// Rows of weights whose offsets are displacements of 32 bits.
constexpr int64_t kNearWeights = int64_t{1} << 22;

// Whether the sums of all taps fit beside the inputs: these then need not pass through scratch.
bool slides_lifted(const Problem& p, const Target& target) {
  return p.groups == 1 && p.stride == 1 && p.dilation == 1 && !p.starts_from_bias && p.taps > 1 &&
         p.channels % target.lanes == 0 && target.lanes % p.filters == 0 &&
         p.taps * p.filters <= most_lifted_sums(p, target) && p.taps * p.channels <= kNearWeights;
}

FilterForm filter_form(const Problem& p, const Target& target, bool in_panels) {
  TileShape tile = p.one_step ? TileShape{1, one_step_vectors(p, target, p.group_filters(), in_panels)}
                              : filter_tile(p, target, in_panels, true);
  const LiftShape lift = p.one_step ? LiftShape{} : lift_shape(p, target, tile, in_panels);
  // Only edges and short inputs are left to the tile then.
  if (lift.vectors > 0) {
    tile = filter_tile(p, target, in_panels, false);
    tile.vectors = ceil_div(p.group_filters(), target.lanes);
    tile.rows = std::min(tile.rows, rows_beside_shared(target, tile.vectors, 0, p));
  }
  FilterForm form;
  form.rows = tile.rows;
  form.vectors = tile.vectors;
  form.lift = lift.vectors;
  form.near = lift.near;
  if (form.lift == 0) {
    const CacheBlocking cache = cache_blocking(p, target, tile.rows, tile.vectors);
    form.chunk = cache.chunk;
    form.prefetch = cache.prefetch;
    form.read_ahead = cache.read_ahead;
  }
  form.blend = tile.blend;
  form.slide = tile.slide;
  if (form.lift > 0 && !form.near && slides_lifted(p, target)) {
    form.slide = true;
    form.lift = target.lanes / p.filters;  // a vector of sums
  }
  // What is written out leaves less code for the edges.
  if (form.lift > 0)
    form.rows = std::min<int64_t>(form.rows, form.near ? target.sums_in_flight / 2 : target.sums_in_flight);
  form.stream = may_stream(p, target, form.vectors);
  form.unroll = unroll_factor(p.group_channels(), accumulators(tile.rows, tile.vectors, tile.blend));
  // A staged channel is no neighbour of the next.
  form.fuse = !(form.near && p.channels > 1) && p.groups == 1 &&
              (p.taps == 1 || (p.dilation == 1 && p.in_pitch() == p.channels));
  form.ragged = p.taps > 1 || form.lift > 0;
  form.panel = in_panels ? kPanel : 0;
  return form;
}

constexpr int64_t kShortWindow = 7;  // taps

// Rows of a sliding window whose products and weights fit; 0 where it can't be.
int64_t window_rows(const Problem& p, const Target& target, int64_t vectors) {
  if (!p.has_weights() || p.taps == 1 || p.taps * vectors * 2 > kMostProducts) return 0;
  const int64_t apart = p.stride / std::gcd(p.stride, p.dilation);
  int64_t rows = rows_that_fit(target, vectors, p) - 1;
  const auto registers = [&] { return vectors * (rows + std::min(p.taps, (rows - 1) * apart + 1)) + 3; };
  // Weights stay in registers where that leaves enough accumulators to hide the latency.
  int64_t kept = rows;
  while (registers() > target.vector_registers) --rows;
  if (rows * vectors < target.sums_in_flight) rows = kept;
  return std::min(rows, kMostProducts / (p.taps * vectors));
}

// Rows of a tile that are one run of memory, as long as its vectors fit, and with as few idle lanes as may
// be; 0 where rows alone idle less.
int64_t joined_rows(const Problem& p, const Target& target) {
  constexpr int64_t kMostVectors = 8;
  constexpr int64_t kMostJoined = 64;
  if (!ir::can_join_rows(p, target.lanes)) return 0;
  const int64_t fitting = std::min(kMostVectors, rows_that_fit(target, 1, p)) * target.lanes / p.groups;
  const auto busy = [&](int64_t rows) {
    const int64_t vectors = ceil_div(rows * p.groups, target.lanes);
    return static_cast<double>(rows * p.groups) / static_cast<double>(vectors * target.lanes);
  };
  int64_t best = 1;
  for (int64_t rows = 2; rows <= std::min(fitting, kMostJoined); ++rows) {
    if (busy(rows) >= busy(best)) best = rows;
  }
  return best == 1 ? 0 : best;
}

ChannelForm channel_form(const Problem& p, const Target& target, bool in_panels) {
  const int64_t total = ceil_div(p.groups, target.lanes);
  ChannelForm form;
  form.ragged = p.has_weights() && p.taps > 1;
  form.panel = in_panels ? kPanel : 0;
  if (p.one_step) {
    form.vectors = one_step_vectors(p, target, p.groups, in_panels);
    return form;
  }
  if (const int64_t rows = joined_rows(p, target); rows > 1) {
    form.rows = rows;
    form.vectors = total;
    return form;
  }
  // Short windows wait for memory: pairs of lines come together.
  form.vectors =
      target.vector_registers == 32 && p.taps <= kShortWindow && p.has_weights() && total > 1 ? 2 : 1;
  if (in_panels && !fills_panels(form.vectors, total, target))
    form.vectors = std::min(kPanel / target.lanes, total);
  form.rows = window_rows(p, target, form.vectors);
  form.slide = form.rows > 1;
  if (!form.slide) {
    if (!in_panels) form.vectors = std::min<int64_t>(2, total);
    const bool two = form.vectors == 2;
    form.rows = target.vector_registers == 32 ? (two ? 12 : 16) : (two ? 5 : 10);
    form.rows = std::min(form.rows, rows_that_fit(target, form.vectors, p));
  }
  form.stream = may_stream(p, target, form.vectors);
  // Displacements of a tile's rows are 32 bits.
  const int64_t reach = form.slide ? p.taps * p.dilation : 0;
  const int64_t distance = form.slide ? p.dilation / std::gcd(p.stride, p.dilation) : 1;
  while (form.rows > 1 && (form.rows * distance * p.stride + reach) * p.in_pitch() * 4 > (int64_t{1} << 29))
    form.rows /= 2;
  if (form.rows == 1) form.slide = false;
  return form;
}

StepForm step_form(const Problem& p, const Target& target, bool in_panels) {
  const TileShape tile = step_tile(p, target);
  StepForm form;
  form.filters = tile.rows;
  form.vectors = tile.vectors;
  form.unroll = unroll_factor(p.group_channels(), tile.rows * tile.vectors);
  form.channels_first = p.layout == Layout::kChannelsFirst;
  const bool direct = p.stride == 1 && (form.channels_first || p.in_pitch() == 1);
  const bool one_block = p.group_filters() <= form.filters;
  const int64_t tile_steps = form.vectors * target.lanes;
  const bool meets = form.channels_first && !(one_block && p.taps == 1) && rows_may_meet(p, target) &&
                     (p.taps - 1) * p.dilation <= tile_steps;
  form.stage = !direct || meets;
  // Rows of the output lie far apart: each had better be written for long. What is staged apart stands near.
  const int64_t share = target.l2_bytes / (direct ? 2 : 16);
  const int64_t fitting = share / (4 * p.channels * p.stride * tile_steps);
  if (!one_block && form.channels_first && fitting > 1) form.chunk = fitting * tile_steps;
  form.panel = in_panels ? 1 : 0;
  return form;
}

// Of a single channel a step is a float: lanes run over neighbouring steps, as long as what a stride has to
// take apart for a tile is little.
bool has_near_steps(const Problem& p) {
  constexpr int64_t kNearStride = 16;
  constexpr int64_t kNearSpan = 1024;
  return p.in_pitch() == 1 && p.out_pitch() == 1 && p.operand_pitch() <= 1 &&
         (p.stride == 1 || (p.stride < kNearStride && p.span() <= kNearSpan));
}

}  // namespace

ScheduleForm choose_form(const Problem& p, const Target& target, const Target* weights_of) {
  const bool shared = weights_of != nullptr;
  if (p.layout == Layout::kChannelsFirst) return step_form(p, target, shared);
  const bool one_dense_channel = p.channels == 1 && p.filters == 1 && p.has_weights();
  if (!p.has_weights() && has_near_steps(p)) return step_form(p, target, shared);
  if (p.is_channelwise() && !one_dense_channel && (p.groups > 1 || !p.has_weights()))
    return channel_form(p, target, shared);
  return filter_form(p, target, shared);
}

Schedule choose_schedule(const Problem& p, const Target& target, const Target* weights_of) {
  return schedule_of(choose_form(p, target, weights_of), target.lanes);
}

std::vector<ScheduleForm> all_forms(const Problem& p, const Target& target) {
  std::vector<ScheduleForm> forms = {choose_form(p, target)};
  for (const ScheduleForm& form :
       {ScheduleForm(filter_form(p, target, false)), ScheduleForm(step_form(p, target, false)),
        ScheduleForm(channel_form(p, target, false))}) {
    if (form.index() != forms.front().index()) forms.push_back(form);
  }
  return forms;
}

}  // namespace convsmith

// The state of one lowering; internal to this folder. The loops of the nest become vir blocks from
// the outside in (lower.cpp, steps.cpp) down to the register tile: its reduction (reduce.cpp;
// where rows see different taps ragged.cpp, by input position slide.cpp, where they share vectors
// blend.cpp) and its epilogue
// (store.cpp), with the staging copies for lanes over steps (stage.cpp, lift.cpp,
// near.cpp).
//
// No call has two arguments that emit: C++ leaves their order open, and the program must not depend
// on the compiler that built us.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codegen/lower/lifted_block.hpp"
#include "codegen/lower/lower.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/builder.hpp"
#include "convsmith/error.hpp"
#include "ir/nest/buffers.hpp"
#include "ir/nest/nest.hpp"
#include "ir/nest/pack_layout.hpp"

namespace convsmith::lowering {

using ir::Dim;
using vir::Arg;
using vir::I;
using vir::M;
using vir::P;
using vir::V;

// A distance in bytes: a constant, or a register that the prologue fills.
struct Stride {
  int64_t bytes = 0;
  std::optional<I> reg;
};

// Where the current loops stand. `in` is the input of the first tap of the current output step; there is
// an operand only where the problem combines one.
struct Cursor {
  P in;
  P out;
  P weights;
  std::optional<P> operand = {};
};
// How far each moves with one iteration of a loop.
struct CursorStride {
  Stride in;
  Stride out;
  Stride weights = {};
  Stride operand = {};
};

// Where a tile finds its input and puts its sums: in the arrays, or in scratch.
struct TileMemory {
  Stride in_item;          // from one channel to the next
  Stride out_item;         // from one filter to the next
  int64_t in_tap = 0;      // bytes from one tap to the next
  int64_t in_vector = 0;   // where lanes run over steps: bytes from one vector of steps to the next
  int64_t out_vector = 0;  // the same for the sums
  bool in_slab = false;    // neighbouring steps read neighbouring floats of a staged chunk
  bool by_phase = false;   // taps lie in the phases of the stride, see tap_pointer
  bool lifted = false;
};

// Floats of each lane that are turned together: `known`, or `floats` where a call decides; then `known` is 0
// where they fill vectors whatever it decides.
struct LiftedRun {
  int64_t known;
  std::optional<I> floats;
};

// What the current loops cover: constants for groups and filters, registers for steps and taps.
struct Cover {
  int64_t groups = 0;
  int64_t filters = 0;
  int64_t steps = 0;             // of one tile; 0 outside the step loop
  std::optional<I> step;         // the first one of the tile
  std::optional<I> input_steps;  // of the input, and the padding before them; ragged nests only
  std::optional<I> pad_left;
  std::optional<I> valid;         // where fewer steps of the tile exist: how many, at most one vector
  std::optional<I> inside_begin;  // steps [inside_begin, inside_end) see all taps; ragged nests only
  std::optional<I> inside_end;
  std::optional<I> step_begin;  // of the current band or chunk
  std::optional<I> step_end;
  std::optional<I> tap_begin;  // of the current band; none where each row has its own taps
  std::optional<I> tap_count;
};

// The integer algebra of ir/nest/band.hpp, as vir.
struct VirInts {
  vir::Builder& b;
  I constant(int64_t n) { return b.iconst(n); }
  I add(I a, I c) { return b.iadd(a, c); }
  I addc(I a, int64_t n) { return n == 0 ? a : b.iaddc(a, n); }
  I sub(I a, I c) { return b.isub(a, c); }
  I mulc(I a, int64_t n) { return n == 1 ? a : b.imulc(a, n); }
  I divc(I a, int64_t n) { return n == 1 ? a : b.idivc(a, n); }
  I min(I a, I c) { return b.imin(a, c); }
  I max(I a, I c) { return b.imax(a, c); }
};

class Lowerer {
 public:
  Lowerer(const ir::LoopNest& nest, const Target& target, std::string name);
  Result<vir::Program> run();

 private:
  // lower.cpp: from the samples to the tile
  Result<void> check() const;
  Result<void> check_tail() const;
  void prologue();
  void decide_stream();
  void loop(size_t i, const Cursor& at, const Cover& cover);
  void sample_loop(size_t i, const Cursor& at, const Cover& cover);
  // The blocks of a loop over groups or filters that a call asks for.
  struct Blocks {
    size_t loop;
    int64_t whole;
    int64_t rest;  // groups or filters of the last, smaller one; 0: none
    I begin;
    I end;
  };
  void block_loop(size_t i, const Cursor& at, const Cover& cover);
  void all_blocks(const Blocks& blocks, const Cursor& at, const Cover& cover, int64_t wide);
  void block(size_t i, const Cursor& at, const Cover& cover, int64_t count);
  CursorStride block_stride(size_t i, const Cover& cover);
  int64_t block_bytes() const;
  void guarded_steps(size_t i, const Cursor& at, const Cover& cover);
  void band_loop(size_t i, const Cursor& at, const Cover& cover);

  // steps.cpp: chunks and tiles of steps
  void chunk_loop(size_t i, const Cursor& at, const Cover& cover);
  void step_loop(size_t i, const Cursor& at, const Cover& cover);
  const ir::Tail& tail() const;
  std::vector<int64_t> tile_heights() const;
  void overlapping_steps(size_t i, I o, const Cursor& at, const Cover& cover, int64_t height, int64_t left);
  void steps_of_height(size_t i, I o, const Cursor& at, const Cover& cover, int64_t height, int64_t distance);
  void masked_steps(size_t i, I o, const Cursor& at, const Cover& cover);
  void tile_entry(size_t i, const Cursor& at, const Cover& cover);

  // reduce.cpp, store.cpp: one register tile
  struct Tile {
    Cursor at;
    Cover cover;
    int64_t rows = 0;               // accumulator rows: steps, or filters where lanes run over steps
    int64_t vectors = 0;            // vectors of a row
    int64_t units = 0;              // filters or groups it covers
    int64_t blended = 1;            // rows that share their last vector
    std::vector<V> acc;             // see sum
    std::vector<M> parts;           // of a shared vector: the lanes of each of its rows
    std::optional<V> count;         // kMean: taps summed so far, or what is not in whole_counts yet
    std::optional<V> whole_counts;  // of wide windows: what is counted by 4096
    std::optional<M> mask;          // of the input vectors, where they are not whole

    // Vectors that a row has of its own.
    int64_t own_vectors() const { return blended > 1 ? vectors - 1 : vectors; }
    V& sum(int64_t row, int64_t vector) {
      const int64_t own = own_vectors();
      return acc[static_cast<size_t>(vector < own ? row * own + vector : rows * own + row / blended)];
    }
    V sum(int64_t row, int64_t vector) const { return const_cast<Tile*>(this)->sum(row, vector); }
  };
  void tile(const Cursor& at, const Cover& cover);
  void begin_sums(Tile& t);
  V load_bias(const Tile& t, int64_t row, int64_t vector);
  V load_units(const Tile& t, P weights, int64_t offset, int64_t v);
  void reduce(Tile& t);
  // Where the weights of `tap` begin.
  P tap_weights(const Tile& t, I tap);
  bool writes_out(const Tile& t) const;
  bool writes_out_phases(const Tile& t) const;
  // `count` taps that all rows see; moves both pointers past them.
  void taps(Tile& t, P in, P weights, I count);
  P tap_pointer(I tap, P slab);
  std::optional<P> next_inputs(const Tile& t, P in, int64_t rows, int64_t bytes);
  void ask_for(P next, int64_t bytes);
  bool asks_weights(const Tile& t) const;
  int64_t asked_bytes(const Tile& t) const;
  void begin_asking(const Tile& t);
  // The rows [begin, end) of a tile; where `seen` is there, only those whose position lies inside the input.
  struct Rows {
    int64_t begin;
    int64_t end;
    struct Seen {
      I position;  // of row 0
      I steps;     // of the input
    };
    std::optional<Seen> seen;
  };
  void channels(const Tile& t, P in, P weights, const Rows& rows, int64_t unroll);
  bool is_wide(const Tile& t) const;
  V shared_vector(const Tile& t, P in, int64_t in_offset, P weights, int64_t weight_offset, int64_t v);
  void item(const Tile& t, P in, int64_t in_offset, P weights, int64_t weight_offset, const Rows& rows);
  void wide_item(const Tile& t, P in, int64_t in_offset, P weights, int64_t weight_offset);
  void item_row(const Tile& t, int64_t row, P in, int64_t in_offset, P weights, int64_t weight_offset,
                const std::vector<V>& shared);  // none: of a single row
  void load_channels(const Tile& t, V x, P in, int64_t offset, int64_t v);
  void accumulate(V acc, V x);
  void begin_count(Tile& t);
  void finish(Tile& t);
  void divide_sums(Tile& t);
  bool may_stream(const Tile& t) const;
  void ask_for_outputs(const Tile& t);
  void store_rows(Tile& t);
  void store_row(const Tile& t, int64_t row, int64_t vector, bool stream, std::optional<M> mask);
  void store_filters(Tile& t);
  void transpose_vector(P from, P to, int64_t filters);
  // A second pass over stored rows: of `count` rows `vectors` vectors each.
  struct StoredRows {
    P out;
    std::optional<P> operand;
    Stride out_pitch;
    Stride operand_pitch;
    int64_t vectors;
    std::optional<M> last_mask;
    bool operand_per_lane;
  };
  void finish_stored(const StoredRows& rows, I count);
  void finish_steps(const Cursor& at, I steps, int64_t distance, int64_t units);
  void finish_run(const Cursor& at, I steps, int64_t units);
  V combine(V y, V operand);
  V load_operand(P operand, int64_t offset, bool per_lane, std::optional<M> mask);
  // What follows the bias.
  V epilogue(V y, const std::optional<P>& operand, int64_t offset, bool per_lane, std::optional<M> mask);
  V finish_vector(const Tile& t, V acc, std::optional<V> bias, int64_t operand_offset, std::optional<M> mask);
  std::optional<M> unit_mask(int64_t units);

  // blend.cpp: tiles whose rows share their last vector
  void decide_blend(Tile& t);
  V load_shared(const Tile& t, P weights, int64_t offset);
  void copy_part(const Tile& t, V to, V from, int64_t part);
  V own_sums(const Tile& t, int64_t row, P in, int64_t in_offset, const std::vector<V>& weights);
  void blended_rows(const Tile& t, const Rows& rows, P in, int64_t in_offset, const std::vector<V>& weights);
  void blended_row(const Tile& t, int64_t row, P in, int64_t in_offset, const std::vector<V>& weights);
  void store_blended(Tile& t);

  // rows.cpp: tiles whose narrow rows are one run of memory
  int64_t joined_floats() const;
  int64_t joined_scratch() const;
  void repeat(P from, bool is_padded, P to);
  void repeat_weights();
  void repeat_operand(P operand);
  void joined_tile(const Cursor& at, const Cover& cover);

  // ragged.cpp: tiles whose rows see different taps
  void ragged(Tile& t);
  void some_rows(Tile& t, P in, P weights, I position, I steps, I count);
  void some_groups_of_rows(const Tile& t, P in, P weights, const Rows::Seen& seen);

  // lift.cpp: lanes over far-apart segments of the steps
  int64_t lifted_scratch() const;
  LiftedRun lifted_run(I tiles, int64_t most, int64_t floats, int64_t unread);
  void lifted_band(size_t i, const Cursor& at, const Cover& cover);
  size_t below_steps_inside() const;
  I lift(const Cursor& at, I steps);
  void lift_blocks(const Cursor& at, I tiles, I apart);
  void lift_sliding(const Cursor& at, I blocks, I apart);
  void slide_position(const Tile& t, I pitch, const std::vector<V>& sums);
  void lift_tiles(I tiles, const Cursor& at);
  void finish_lifted(P sums, I vectors);
  void lift_in(P from, I pitch, P to, const LiftedRun& run);
  void lift_out(P from, P to, I pitch, const LiftedRun& run);

  // near.cpp: lanes over neighbouring steps
  int64_t near_pitch() const;
  int64_t near_scratch() const;
  I lift_near(const Cursor& at, I steps);
  void near_chunks(const Cursor& at, I steps);
  void near_in(P from, I positions, int64_t pitch);
  void channel_blocks(P rows, P to, int64_t pitch, const std::function<void(P, P, int64_t)>& turn);
  void near_tiles(const Cursor& at, I steps);
  void near_out(P sums, P out);

  // slide.cpp: tiles of depthwise layers, by input position
  void slide(const Tile& t);
  void slide_shared(const Tile& t);
  int64_t slid_registers(int64_t rows, int64_t vectors) const;

  // stage.cpp
  void decide_stage();
  Cursor stage(const Cursor& at, const Cover& cover, I steps);
  void stage_channels(P from, P slab, I steps, const Cover& cover);
  struct Matrix {
    P from;  // row-major, neighbouring columns are neighbouring floats
    int64_t row_bytes;
    int64_t columns;
    P to;  // transposed: neighbouring rows become neighbouring floats
    int64_t column_bytes;
  };
  void transpose_matrix(const Matrix& m, I rows);
  void transpose_block(P from, int64_t row_bytes, int64_t columns, P to, int64_t column_bytes);
  void copy_short(const Matrix& m, I rows);
  void copy_floats(P from, P to, I count);

  // Small helpers
  const ir::Loops& loops() const { return *loops_; }
  bool lanes_over_steps() const { return lanes_ == Dim::kStep; }
  int64_t lanes() const { return target_.lanes; }
  P moved(P p, I count, const Stride& stride);  // p + count * stride
  void advance(P p, const Stride& stride);      // p += stride
  Cursor moved(const Cursor& at, I count, const CursorStride& stride);
  Cursor copied(const Cursor& at);
  void advance(const Cursor& at, const CursorStride& stride);
  CursorStride steps_stride(int64_t steps) const;  // of that many output steps
  Stride times(const Stride& stride, int64_t n);
  bool first_loop_of(size_t i) const;
  bool serial_inside(size_t i, Dim dim) const;

  const ir::LoopNest& nest_;
  const Problem& p_;
  const Target& target_;
  vir::Builder b_;
  Dim lanes_;
  ir::PackLayout layout_;
  ir::ParallelBlocks parallel_;
  const ir::Loops* loops_;  // of the part that is lowered
  ir::Inside inside_;
  int64_t tile_steps_ = 1;                    // steps of a whole tile
  int64_t row_distance_ = 1;                  // steps from one row of a tile to the next
  int64_t unroll_ = 1;                        // reduction items in the innermost loop's body
  bool skews_ = false;                        // tiles are walked by input position
  bool near_ = false;                         // lanes inside are neighbouring steps
  int64_t shared_rows_ = 0;                   // that share a vector; 0: none
  std::optional<int64_t> nontemporal_above_;  // numbers of the hints
  std::optional<int64_t> prefetch_share_;
  std::optional<int64_t> prefetch_within_;
  std::optional<ir::Buffer> x1_;  // the staged input, or that of near lanes, at the start of scratch
  int64_t slab_steps_ = 0;        // output steps whose input is staged together; 0: not staged
  std::optional<I> stages_;       // whether this call stages; none: all do
  // What this call does with its outputs; none if it need not be decided.
  static constexpr int64_t kAsks = -1, kKeeps = 0, kStreams = 1;
  std::optional<I> streams_;
  bool joins_rows_ = false;
  bool finishes_sums_ = true;  // all of the epilogue runs on accumulators, not over the stored tile
  // Distances
  int64_t in_bytes_ = 0;  // of an element
  int64_t out_bytes_ = 0;
  int64_t in_row_ = 0;   // bytes from one input position to the next
  int64_t out_row_ = 0;  // bytes from one output step to the next
  int64_t operand_row_ = 0;
  Stride in_channel_;  // from one input channel to the next
  Stride out_channel_;
  Stride operand_channel_;
  TileMemory memory_;
  // Of tiles whose rows are joined: bias and weights, and an operand without steps, once for each row.
  std::optional<P> joined_weights_;
  std::optional<P> joined_operand_;
  // The weights of the next block that the tiles of a step loop have not asked for; none where they don't
  // ask.
  std::optional<P> asked_;
};

}  // namespace convsmith::lowering

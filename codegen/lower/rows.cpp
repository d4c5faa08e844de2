// Rows of few channels leave most lanes of a vector idle. Where the rows of a tile are one run of memory, in
// the input, in the output and in an operand that has steps, vectors go over the run as if it were one row of
// as many channels. What differs by channel only is repeated in scratch, once for each row of a tile.
#include "codegen/lower/lower.hpp"
#include "codegen/lower/lowerer.hpp"

namespace convsmith::lowering {

// Of all rows of a tile, in whole vectors.
int64_t Lowerer::joined_floats() const {
  return (tile_steps_ * p_.groups + lanes() - 1) / lanes() * lanes();
}

// Bias, weights and operand, and a vector that the last row may overwrite.
int64_t Lowerer::joined_scratch() const {
  return out_bytes_ * (3 * joined_floats() + lanes());
}

// One row, again and again, each over what the one before wrote too much.
void Lowerer::repeat(P from, bool is_padded, P to) {
  std::vector<V> row;
  for (int64_t c = 0; c < p_.groups; c += lanes()) {
    const std::optional<M> mask = is_padded ? std::nullopt : unit_mask(std::min(p_.groups - c, lanes()));
    row.push_back(load_operand(from, is_padded ? layout_.offset_bytes(c) : out_bytes_ * c, true, mask));
  }
  const P at = b_.pcopy(to);
  b_.loop(b_.iconst(tile_steps_), "repeat", [&] {
    for (size_t v = 0; v < row.size(); ++v) b_.store(at, static_cast<int64_t>(v) * b_.vector_bytes(), row[v]);
    b_.paddc(at, at, out_bytes_ * p_.groups);
  });
}

void Lowerer::repeat_weights() {
  if (!p_.has_weights()) return;
  joined_weights_ = b_.arg_ptr(Arg::kScratch);
  const P from = b_.arg_ptr(Arg::kWeights);
  repeat(from, true, *joined_weights_);
  if (!p_.has_bias) return;
  const P weights = b_.paddc(from, layout_.row_bytes(p_.groups));
  repeat(weights, true, b_.paddc(*joined_weights_, out_bytes_ * joined_floats()));
}

void Lowerer::repeat_operand(P operand) {
  if (p_.operand_has_steps || !p_.operand_has_channels) return;
  joined_operand_ = b_.paddc(b_.arg_ptr(Arg::kScratch), 2 * out_bytes_ * joined_floats());
  repeat(operand, false, *joined_operand_);
}

// The tile as a single row.
void Lowerer::joined_tile(const Cursor& at, const Cover& cover) {
  Cursor row = at;
  if (joined_weights_) row.weights = *joined_weights_;
  if (joined_operand_) row.operand = *joined_operand_;
  Cover joined = cover;
  joined.groups = cover.steps * p_.groups;
  joined.steps = 1;
  const ir::PackLayout packed = layout_;
  layout_.units = layout_.block = layout_.pad = joined_floats();
  tile(row, joined);
  layout_ = packed;
}

}  // namespace convsmith::lowering

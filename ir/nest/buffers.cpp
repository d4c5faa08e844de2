#include "ir/nest/buffers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ir/nest/pack_layout.hpp"

namespace convsmith::ir {

namespace {

// Floats of a row, an odd number of vectors, so that rows do not share cache sets.
int64_t odd_vectors(int64_t floats, int64_t lanes) {
  return ((floats + lanes - 1) / lanes | 1) * lanes;
}

Buffer packed_weights(const LoopNest& nest) {
  const PackLayout layout = pack_layout(nest);
  const std::string unit = layout.units_are_groups ? "g" : "f";
  Buffer w{"w", Storage::kPacked, {}};
  if (layout.outer > 1) w.axes.push_back({"g", layout.outer});
  const int64_t blocks = (layout.units + layout.block - 1) / layout.block;
  if (blocks > 1) w.axes.push_back({fmt::format("{}/{}", unit, layout.block), blocks});
  w.axes.push_back({layout.has_bias ? "bias+k*c" : "k*c", layout.rows + (layout.has_bias ? 1 : 0)});
  w.axes.push_back({unit, layout.width(std::min(layout.block, layout.units))});
  return w;
}

// Position q*stride + phase of channel c at [phase][c][q], from the first position of a tile or chunk on.
Buffer staged_input(const LoopNest& nest) {
  const Problem& p = nest.problem;
  int64_t channels = p.groups * p.group_channels();
  for (const Loop& loop : nest.loops) {
    if (loop.dim == Dim::kGroup && loop.role == Role::kSerial) channels = loop.step * p.group_channels();
    if (&loop == nest.staged()) break;
  }
  const int64_t steps = nest.staged()->step + (p.taps - 1) * p.dilation / p.stride;
  return {"x1",
          Storage::kScratch,
          {{"phase", p.stride}, {"c", channels}, {"o", odd_vectors(steps, lane_count(nest))}}};
}

void add_inside(std::vector<Buffer>& all, const LoopNest& nest) {
  const Problem& p = nest.problem;
  const Inside form = inside_of(nest);
  const int64_t lanes = lane_count(nest);
  const int64_t reach = (p.taps - 1) * p.dilation;
  if (!form.far) {
    if (p.channels > 1)
      all.push_back(
          {"x1", Storage::kScratch, {{"c", p.channels}, {"p", odd_vectors(form.chunk + reach, lanes)}}});
    if (turns_near_sums(p))
      all.push_back({"y1", Storage::kScratch, {{"f", p.filters}, {"o", form.vectors * lanes}}});
    return;
  }
  const int64_t steps = form.vectors * std::max<int64_t>(form.tiles, 1);
  if (!form.skewed) {
    const int64_t positions = (steps - 1) * p.stride + reach + 1;
    all.push_back({"x1", Storage::kScratch, {{"p", positions}, {"c", p.channels}, {"lane", lanes}}});
  }
  // Skewed, the first positions complete steps that lie before the first one.
  const int64_t before = form.skewed ? p.taps - 1 : 0;
  all.push_back({"y1", Storage::kScratch, {{"o", before + steps}, {"f", p.filters}, {"lane", lanes}}});
}

}  // namespace

int64_t Buffer::stride_bytes(size_t axis) const {
  int64_t stride = bytes_of(element);
  for (size_t i = axes.size(); --i > axis;) stride *= axes[i].size;
  return stride;
}

int64_t Buffer::bytes() const {
  return axes.front().size * stride_bytes(0);
}

std::vector<Buffer> buffers(const LoopNest& nest) {
  const Problem& p = nest.problem;
  std::vector<Buffer> all;
  if (p.has_weights()) all.push_back(packed_weights(nest));
  if (nest.staged() != nullptr) all.push_back(staged_input(nest));
  if (!nest.inside.empty()) add_inside(all, nest);
  if (joins_rows(nest)) {
    const int64_t lanes = lane_count(nest);
    const int64_t floats = (innermost_step(nest.loops, Dim::kStep) * p.groups + lanes - 1) / lanes * lanes;
    if (p.has_weights())
      all.push_back(
          {"w1", Storage::kScratch, {{p.has_bias ? "bias+k" : "k", p.has_bias ? 2 : 1}, {"o*g", floats}}});
    if (p.combine != Combine::kNone && !p.operand_has_steps && p.operand_has_channels)
      all.push_back({"e1", Storage::kScratch, {{"o*g", floats}}});
  }
  return all;
}

const Buffer* find_buffer(const std::vector<Buffer>& buffers, std::string_view name) {
  const auto found =
      std::find_if(buffers.begin(), buffers.end(), [&](const Buffer& b) { return b.name == name; });
  return found == buffers.end() ? nullptr : &*found;
}

std::string print(const Buffer& buffer) {
  std::string text = fmt::format("buffer {} : {} ", buffer.name, name_of(buffer.element));
  for (const BufferAxis& axis : buffer.axes) text += fmt::format("[{} {}]", axis.name, axis.size);
  return text + (buffer.place == Storage::kPacked ? " packed" : " in scratch");
}

}  // namespace convsmith::ir

#include "cli/verify/run_call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "codegen/control_word.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::cli {

namespace {

// How an array of (batch, rows, columns) lies in memory: rows and samples with gaps after them.
struct Pitches {
  int64_t batch;
  int64_t rows;
  int64_t columns;
  int64_t row;
  int64_t sample;

  size_t floats() const {
    if (batch == 0 || rows == 0 || columns == 0) return 0;
    return static_cast<size_t>((batch - 1) * sample + (rows - 1) * row + columns);
  }
  size_t at(int64_t n, int64_t r) const { return static_cast<size_t>(n * sample + r * row); }
};

// Rows of channels-last arrays are dense; of channels-first ones each channel may lie apart.
Pitches pitches(Layout layout, int64_t batch, int64_t steps, int64_t channels, Random& random) {
  Pitches p{batch, steps, channels, channels, 0};
  if (layout == Layout::kChannelsFirst) p = {batch, channels, steps, steps + random.between(0, 5), 0};
  p.sample = p.rows * p.row + random.between(0, 9);
  return p;
}

void spread(const std::vector<float>& dense, const Pitches& p, float* to) {
  for (int64_t n = 0; n < p.batch; ++n) {
    for (int64_t r = 0; r < p.rows; ++r) {
      if (p.columns > 0) {
        std::memcpy(to + p.at(n, r), &dense[static_cast<size_t>((n * p.rows + r) * p.columns)],
                    static_cast<size_t>(p.columns) * sizeof(float));
      }
    }
  }
}

// The reverse; false if something was written between the rows.
bool gather(const PlacedArray& from, const Pitches& p, std::vector<float>& dense) {
  std::vector<bool> inside(from.size(), false);
  for (int64_t n = 0; n < p.batch; ++n) {
    for (int64_t r = 0; r < p.rows; ++r) {
      for (int64_t c = 0; c < p.columns; ++c) {
        const size_t i = p.at(n, r) + static_cast<size_t>(c);
        inside[i] = true;
        dense[static_cast<size_t>((n * p.rows + r) * p.columns + c)] = from.data()[i];
      }
    }
  }
  for (size_t i = 0; i < from.size(); ++i) {
    if (!inside[i] && std::bit_cast<uint32_t>(from.data()[i]) != PlacedArray::kCanary) return false;
  }
  return true;
}

// 0, up to two places inside, and the end: no part is empty.
std::vector<int64_t> cuts(Random& random, int64_t count) {
  std::vector<int64_t> places = {0, count};
  for (int64_t i = random.between(0, 2); i > 0 && count > 1; --i)
    places.push_back(random.between(1, count - 1));
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

template <class Part>
void for_each_part(const std::vector<int64_t>& places, Part&& part) {
  for (size_t i = 0; i + 1 < places.size(); ++i) part(places[i], places[i + 1]);
}

constexpr std::string_view kWroteOutside = "something was written outside of the {}";

}  // namespace

CallRunner::CallRunner(std::shared_ptr<const CompiledGraph> graph, const FilledCall& call, bool guard)
    : graph_(std::move(graph)),
      call_(call),
      guard_(guard),
      random_(derive_seed(call.call.seed, 77)),
      extents_(ir::evaluate_extents(graph_->graph, call.steps)),
      weights_(std::make_shared<PackedGraph>(*pack_graph(graph_, call.weights))) {
  for (auto& parts : weights_->parts) {
    for (std::shared_ptr<const PackedData>& part : parts) {
      if (part == nullptr) continue;
      const auto floats = static_cast<size_t>(part->layout.floats());
      packed_.push_back(std::make_unique<PlacedArray>(std::span(part->data, floats), next_place(1)));
      part = std::make_shared<PackedData>(PackedData{part->kernel, part->layout, {}, packed_.back()->data()});
    }
  }
}

// `unit`: floats that the array's address must be a multiple of.
Place CallRunner::next_place(size_t unit) {
  Place place;
  place.kind = !guard_ ? Place::kHeap : random_.one_in(2) ? Place::kGuardBefore : Place::kGuardAfter;
  // Half of the guarded arrays touch the forbidden page.
  const bool tight = guard_ && random_.one_in(2);
  place.gap = tight ? 0 : static_cast<size_t>(random_.between(0, 15)) / unit * unit;
  return place;
}

Arrays CallRunner::empty_outputs() const {
  Arrays outputs;
  for (const int output : graph_->graph.outputs) {
    const ir::GraphTensor& tensor = graph_->graph.tensors[static_cast<size_t>(output)];
    outputs.emplace_back(static_cast<size_t>(call_.call.batch * extents_[static_cast<size_t>(tensor.steps)] *
                                             tensor.channels));
  }
  return outputs;
}

bool CallRunner::is_too_short() const {
  const auto has_none = [&](int output) {
    return extents_[static_cast<size_t>(graph_->graph.tensors[static_cast<size_t>(output)].steps)] == 0;
  };
  return std::any_of(graph_->graph.outputs.begin(), graph_->graph.outputs.end(), has_none) &&
         std::all_of(call_.steps.begin(), call_.steps.end(), [](int64_t steps) { return steps > 0; });
}

CallOutput CallRunner::run(const ParallelFor& parallel) {
  constexpr size_t kWorkspaceUnit = 4;  // aligned as malloc does
  std::vector<std::unique_ptr<PlacedArray>> arrays;
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
  for (const std::vector<float>& input : call_.inputs) {
    arrays.push_back(std::make_unique<PlacedArray>(input, next_place(1)));
    inputs.push_back(arrays.back()->data());
  }
  CallOutput output{empty_outputs(), {}};
  for (const std::vector<float>& values : output.values) {
    arrays.push_back(std::make_unique<PlacedArray>(values.size(), next_place(1)));
    outputs.push_back(arrays.back()->data());
  }
  const size_t bytes = workspace_bytes(*graph_, call_.call.batch, call_.steps, std::max(parallel.threads, 1));
  PlacedArray workspace((bytes + 15) / 16 * 4, next_place(kWorkspaceUnit));
  std::fill_n(workspace.data(), workspace.size(), std::numeric_limits<float>::quiet_NaN());
  const RunStatus status =
      run_graph(*graph_, *weights_, inputs, outputs, call_.call.batch, call_.steps,
                {.workspace = workspace.data(), .parallel = parallel, .denormals = call_.call.denormals});
  if (status != RunStatus::kOk && !(status == RunStatus::kEmptyOutput && is_too_short()))
    output.error = fmt::format("run returned '{}'", describe(status));
  const auto intact = [](const auto& array) { return array->is_intact(); };
  if (!std::all_of(arrays.begin(), arrays.end(), intact)) output.error = fmt::format(kWroteOutside, "arrays");
  if (!workspace.is_intact()) output.error = fmt::format(kWroteOutside, "workspace");
  if (!std::all_of(packed_.begin(), packed_.end(), intact))
    output.error = fmt::format(kWroteOutside, "output, around weights");
  for (size_t i = 0; i < outputs.size(); ++i)
    std::copy_n(outputs[i], output.values[i].size(), output.values[i].begin());
  return output;
}

bool CallRunner::has_parts() const {
  const std::vector<ir::Op>& ops = graph_->graph.ops;
  // Views show sizes that the call does not have.
  return ops.size() == 1 && ops[0].in == graph_->graph.inputs[0] && ops[0].out == graph_->graph.outputs[0] &&
         ops[0].kind == ir::OpKind::kNest && !ops[0].problem.transposed &&
         ops[0].problem.combine == Combine::kNone && graph_->ops[0].parts.size() == 1;
}

CallOutput CallRunner::run_in_parts() {
  const CompiledKernel& kernel = *graph_->ops[0].parts[0].kernel;
  const Problem& p = graph_->graph.ops[0].problem;
  const int64_t batch = call_.call.batch;
  const int64_t in_steps = call_.steps[0];
  const int64_t output_steps = p.output_steps(in_steps);
  CallOutput output{empty_outputs(), {}};
  if (output.values[0].empty()) return output;
  const Pitches in = pitches(p.layout, batch, in_steps, p.channels, random_);
  const Pitches out = pitches(p.layout, batch, output_steps, p.filters, random_);
  PlacedArray input(in.floats(), next_place(1));
  // What lies between the rows of the input would show in the output.
  std::fill_n(input.data(), input.size(), 0x1.8p126F);
  spread(call_.inputs[0], in, input.data());
  PlacedArray result(out.floats(), next_place(1));
  PlacedArray scratch((static_cast<size_t>(kernel.scratch_bytes) + 63) / 64 * 16, next_place(4));
  KernelArgs args{};
  args.kIn = input.data();
  args.kWeights = packed_.empty() ? nullptr : packed_[0]->data();
  args.kOut = result.data();
  args.kScratch = scratch.data();
  args.kSteps = in_steps;
  args.kPadLeft = p.left_padding(in_steps);
  args.kInSample = in.sample;
  args.kInChannel = in.row;
  args.kOutSample = out.sample;
  args.kOutChannel = out.row;
  const ScopedControlWord modes(call_.call.denormals);
  const auto samples = cuts(random_, batch);
  const auto steps = cuts(random_, output_steps);
  const auto blocks = cuts(random_, kernel.blocks.count);
  for_each_part(samples, [&](int64_t sample_begin, int64_t sample_end) {
    for_each_part(steps, [&](int64_t step_begin, int64_t step_end) {
      for_each_part(blocks, [&](int64_t block_begin, int64_t block_end) {
        args.kSampleBegin = sample_begin;
        args.kSampleEnd = sample_end;
        args.kStepBegin = step_begin;
        args.kStepEnd = step_end;
        args.kBlockBegin = block_begin;
        args.kBlockEnd = block_end;
        kernel.kernel->run(args);
      });
    });
  });
  const bool rows_intact = gather(result, out, output.values[0]);
  if (!rows_intact || !result.is_intact()) output.error = fmt::format(kWroteOutside, "output's rows");
  if (!scratch.is_intact()) output.error = fmt::format(kWroteOutside, "scratch");
  return output;
}

}  // namespace convsmith::cli

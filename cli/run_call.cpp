#include "cli/run_call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "ir/pack_layout.hpp"

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

CallRunner::CallRunner(const CompiledKernel& kernel, const CallData& data, const Call& call, bool guard)
    : kernel_(kernel),
      data_(data),
      call_(call),
      guard_(guard),
      random_(derive_seed(call.seed, 77)),
      output_steps_(kernel.problem.output_steps(call.steps)) {
  // The kernel outlives the packed data, which needs no share in it.
  const std::shared_ptr<const CompiledKernel> borrowed(std::shared_ptr<const CompiledKernel>(), &kernel);
  const auto packed = pack_weights(borrowed, data.kernel, data.bias);
  packed_.assign(packed->data, packed->data + kernel.weights.floats());
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

CallOutput CallRunner::run(const ParallelFor& parallel) {
  constexpr size_t kScratchUnit = 4;  // aligned as malloc does
  const PlacedArray input(data_.input, next_place(1));
  const PlacedArray weights(packed_, next_place(1));
  CallOutput output;
  output.values.resize(static_cast<size_t>(call_.batch * output_steps_ * kernel_.problem.filters));
  PlacedArray out(output.values.size(), next_place(1));
  const auto bytes = static_cast<size_t>((kernel_.scratch_bytes + 63) / 64 * 64) *
                     static_cast<size_t>(std::max(parallel.threads, 1));
  PlacedArray scratch(bytes / sizeof(float), next_place(kScratchUnit));
  std::fill_n(scratch.data(), scratch.size(), std::numeric_limits<float>::quiet_NaN());
  const RunStatus status = run_kernel(kernel_, weights.data(), input.data(), out.data(), call_.batch,
                                      call_.steps, {.workspace = scratch.data(), .parallel = parallel});
  const bool too_short = output_steps_ == 0 && call_.steps > 0;
  if (status != RunStatus::kOk && !(status == RunStatus::kEmptyOutput && too_short)) {
    output.error = fmt::format("run returned '{}'", describe(status));
  }
  if (!out.is_intact()) output.error = fmt::format(kWroteOutside, "output");
  if (!scratch.is_intact()) output.error = fmt::format(kWroteOutside, "scratch");
  if (!input.is_intact() || !weights.is_intact())
    output.error = fmt::format(kWroteOutside, "output, around an input");
  std::copy_n(out.data(), output.values.size(), output.values.begin());
  return output;
}

CallOutput CallRunner::run_in_parts() {
  const Problem& p = kernel_.problem;
  CallOutput output;
  output.values.resize(static_cast<size_t>(call_.batch * output_steps_ * p.filters));
  if (output.values.empty()) return output;
  const Pitches in = pitches(p.layout, call_.batch, call_.steps, p.channels, random_);
  const Pitches out = pitches(p.layout, call_.batch, output_steps_, p.filters, random_);
  PlacedArray input(in.floats(), next_place(1));
  // What lies between the rows of the input would show in the output.
  std::fill_n(input.data(), input.size(), 0x1.8p126F);
  spread(data_.input, in, input.data());
  const PlacedArray weights(packed_, next_place(1));
  PlacedArray result(out.floats(), next_place(1));
  PlacedArray scratch((static_cast<size_t>(kernel_.scratch_bytes) + 63) / 64 * 16, next_place(4));
  KernelArgs args{};
  args.kIn = input.data();
  args.kWeights = weights.data();
  args.kOut = result.data();
  args.kScratch = scratch.data();
  args.kSteps = call_.steps;
  args.kPadLeft = p.left_padding(call_.steps);
  args.kInSample = in.sample;
  args.kInChannel = in.row;
  args.kOutSample = out.sample;
  args.kOutChannel = out.row;
  const auto samples = cuts(random_, call_.batch);
  const auto steps = cuts(random_, output_steps_);
  const auto blocks = cuts(random_, kernel_.blocks.count);
  for_each_part(samples, [&](int64_t sample_begin, int64_t sample_end) {
    for_each_part(steps, [&](int64_t step_begin, int64_t step_end) {
      for_each_part(blocks, [&](int64_t block_begin, int64_t block_end) {
        args.kSampleBegin = sample_begin;
        args.kSampleEnd = sample_end;
        args.kStepBegin = step_begin;
        args.kStepEnd = step_end;
        args.kBlockBegin = block_begin;
        args.kBlockEnd = block_end;
        kernel_.kernel->run(args);
      });
    });
  });
  const bool rows_intact = gather(result, out, output.values);
  if (!rows_intact || !result.is_intact()) output.error = fmt::format(kWroteOutside, "output's rows");
  if (!scratch.is_intact()) output.error = fmt::format(kWroteOutside, "scratch");
  return output;
}

}  // namespace convsmith::cli

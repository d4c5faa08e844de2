// What `run` does between its options and its report: arrays in the layer's layout, something compiled to run
// on them, and comparison with expected ones. Used by run.cpp and its tests.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cli/common_options.hpp"
#include "cli/io/tensor.hpp"
#include "cli/load_spec.hpp"
#include "convsmith/convsmith.hpp"
#include "convsmith/error.hpp"
#include "frontend/problem.hpp"

namespace convsmith::cli {

// An input as the layer takes it: its array with at least one batch axis.
struct LayerInput {
  Tensor tensor;        // (batch..., steps, channels), or (batch..., channels, steps)
  bool single = false;  // the file held one sample without a batch axis
  int64_t batch = 1;    // product of the batch axes
  int64_t steps = 0;
};

// Rows of .csv and .wav are steps whatever the layout; an array of two axes is one sample.
Result<LayerInput> arrange_input(Tensor tensor, FileFormat format, Layout layout, const std::string& path);

// An input of Dense: (batch..., features), all leading axes being batch; rows of .csv and .wav are samples.
Result<LayerInput> arrange_features(Tensor tensor, const std::string& path);

// An input of a model, whose samples have the axes `sample` (unknown ones may be any number), or exactly
// `fixed_steps` at their steps. One axis fewer than that and the batch is one sample, and so is a .csv or
// .wav file where samples have two axes.
Result<LayerInput> arrange_sample(Tensor tensor, FileFormat format, const Shape& sample,
                                  std::optional<int64_t> fixed_steps, const std::string& path);

// (channels, steps) by the open axis, of a model's input or output.
bool is_channels_first(const Shape& sample);

// A result as `format` wants it: for .csv and .wav (steps, channels), which only one sample has.
// Errors begin with `what`, an option with its file.
Result<Tensor> arrange_output(const Tensor& tensor, FileFormat format, Layout layout,
                              const std::string& what);
// The shape of that.
Result<std::vector<int64_t>> arrange_output_shape(const std::vector<int64_t>& shape, FileFormat format,
                                                  Layout layout, const std::string& what);
// But for leading axes of 1.
bool is_same_shape(const std::vector<int64_t>& a, const std::vector<int64_t>& b);

struct Difference {
  bool same_shape = false;  // but for leading axes of 1; the others are only set when true
  bool bit_equal = false;
  double largest = 0;   // absolute; infinite where one is NaN and the other is not
  double relative = 0;  // `largest` / the largest finite magnitude expected
};
Difference compare_tensors(const Tensor& found, const Tensor& expected);

// 10 log10(sum clean^2 / sum (signal - clean)^2), in decibels; infinite where they are equal. Of equal sizes.
double signal_to_noise(const Tensor& signal, const Tensor& clean);

struct ReadInput {
  SignalFile file;
  Signal signal;
};

struct RunOutput {
  std::string name;
  std::vector<int64_t> shape;  // with batch axes
  Layout layout = Layout::kChannelsLast;
  double steps_per_step = 1;  // output steps for one more step of the first input
};

// Something compiled, with its weights, for these inputs.
struct Runnable {
  std::string kind;  // "layer", "nest", "model"
  std::string text;
  std::string weights;  // where they come from
  std::vector<LayerInput> inputs;
  std::vector<std::string> input_names;
  Layout input_layout = Layout::kChannelsLast;  // of the first input
  std::vector<RunOutput> outputs;
  Backend backend = Backend::kInterp;
  Isa isa = Isa::kBaseline;
  size_t code_bytes = 0;
  int passes = 1;
  double compile_us = 0;
  std::function<RunStatus(std::span<const float* const>, std::span<float* const>, const RunOptions&)> run;
};
// `weights` is the option of that name; of a model it has been read with the subject.
Result<Runnable> make_runnable(Subject subject, std::vector<ReadInput> inputs, const CommonOptions& options,
                               const std::string& weights);

}  // namespace convsmith::cli

// What `run` does between its options and its report: arrays in the layer's layout, and comparison with
// expected ones. Used by run.cpp and its tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/tensor.hpp"
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

// A result as `format` wants it: for .csv and .wav (steps, channels), which only one sample has.
Result<Tensor> arrange_output(const Tensor& tensor, FileFormat format, Layout layout,
                              const std::string& path);

struct Difference {
  bool same_shape = false;  // but for leading axes of 1; the others are only set when true
  bool bit_equal = false;
  double largest = 0;   // absolute; infinite where one is NaN and the other is not
  double relative = 0;  // `largest` / the largest finite magnitude expected
};
Difference compare_tensors(const Tensor& found, const Tensor& expected);

}  // namespace convsmith::cli

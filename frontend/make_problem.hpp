// From what the user said to what is to be computed. Every user error that parsing has not found is found
// here, so that everything behind a Problem can take its invariants for granted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/problem.hpp"

namespace convsmith {

// The problem for the spec's own input_shape.
Result<Problem> make_problem(const LayerSpec& spec, Rules rules = Rules::kCommon);

// The problem for inputs of `input_shape`, batch axes included: (batch..., steps, channels), or
// (batch..., channels, steps) for channels_first. It wins over the spec's own. Only channels must be known;
// an output without any step, or without a batch axis that Keras wants, is refused as far as sizes are known.
Result<Problem> make_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules = Rules::kCommon);

// The shape of the output for an input with batch axes; unknown axes stay unknown, an output may be empty.
Result<Shape> output_shape(const Problem& problem, const Shape& input_shape);

// Checks weights against (taps, channels/groups, filters) and (filters).
Result<void> check_weights(const Problem& problem, std::span<const int64_t> kernel_shape,
                           std::optional<std::span<const int64_t>> bias_shape);

// "(None, 10, 128)"
std::string shape_text(const Shape& shape);

}  // namespace convsmith

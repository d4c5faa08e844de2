// Runs a nest loop by loop, as its text reads: slow, obviously right, the judge of every schedule
// step. The reduction of an output happens in the order in which the loops come to it.
#pragma once

#include <functional>

#include "ir/nest/nest.hpp"

namespace convsmith::ir {

struct NestTensors {
  const float* in;      // (batch, steps, channels), or (batch, channels, steps) for channels first
  const float* kernel;  // (taps, channels/groups, filters), as Keras keeps it
  const float* bias;    // (filters), ignored without bias
  float* out;
  int64_t batch;
  int64_t steps;
  const float* operand = nullptr;  // of the output's shape, 1 along the axes that it does not have
};

// What Combine says, for both interpreters of this folder.
float combine(Combine kind, float y, float operand);

// The nest is verified. `activation` is applied to each finished sum, before an operand, and `after` behind
// it. Rows are those of the problem; the output is written where the problem says and nowhere else.
void interpret(
    const LoopNest& nest, const NestTensors& tensors, const std::function<float(float)>& activation,
    const std::function<float(float)>& after = [](float x) { return x; });

}  // namespace convsmith::ir

// Runs a nest loop by loop, as its text reads: slow, obviously right, the judge of every schedule
// step. The reduction of an output happens in the order in which the loops come to it.
#pragma once

#include <functional>

#include "ir/nest.hpp"

namespace convsmith::ir {

struct NestTensors {
  const float* in;      // (batch, steps, channels), or (batch, channels, steps) for channels first
  const float* kernel;  // (taps, channels/groups, filters), as Keras keeps it
  const float* bias;    // (filters), ignored without bias
  float* out;
  int64_t batch;
  int64_t steps;
};

// The nest is verified. `activation` is applied to each finished sum.
void interpret(const LoopNest& nest, const NestTensors& tensors,
               const std::function<float(float)>& activation);

}  // namespace convsmith::ir

// The libraries that one layer is measured with. Each gives one or more ways: a name, and a function that
// makes a call of it. A way that cannot compute a layer says so as an error; it is left out of that row, with
// its reason. Used by measure_row; to add a library, write NAME_peer.cpp and name it in peers.cpp and
// CMakeLists.txt.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bench/shapes.hpp"
#include "convsmith/error.hpp"
#include "convsmith/options.hpp"
#include "frontend/problem.hpp"

namespace convsmith::bench {

// A layer with sizes resolved and its arrays, which all ways share and which outlive their calls. Input and
// output begin at multiples of 64 bytes; kInputSlack floats behind the input may be read.
struct Case {
  LayerSpec spec;
  Problem problem;
  int64_t batch = 1;
  int64_t steps = 0;
  int64_t out_steps = 0;
  // Padding steps, just as many as the output steps look at; transposed: cropped steps, the right ones may be
  // negative.
  int64_t pad_left = 0;
  int64_t pad_right = 0;
  std::span<const float> kernel;  // as Keras keeps it
  std::span<const float> bias;
  const float* input = nullptr;        // (batch, steps, channels)
  const float* input_first = nullptr;  // the same as (batch, channels, steps)
  float* output = nullptr;             // in the way's layout
};
inline constexpr size_t kInputSlack = 16;

// Runs once; an error says why its time must not count.
using Call = std::function<Result<void>()>;

struct Way {
  std::string name;
  std::string library;
  std::string version;
  Layout layout = Layout::kChannelsLast;
  // What is timed as creation: everything from weights as Keras keeps them to something that runs.
  std::function<Result<Call>(const Case&)> make;
};

// Ours, both layouts.
std::vector<Way> own_ways(Backend backend, Isa isa);
// Those that this program was built with. Libraries that can be told keep to `isa`, which is not kAuto.
std::vector<Way> peer_ways(Isa isa);

}  // namespace convsmith::bench

// One vir program, compiled for every place where it can run.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/guarded_buffer.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {

struct PlacedKernel {
  std::string place;
  std::unique_ptr<Kernel> kernel;
  size_t scratch_floats = 0;

  // With scratch of just the size that the program asks for, full of NaN.
  void run(KernelArgs args) const {
    const GuardedBuffer scratch(scratch_floats, Edge::kEnd);
    args.kScratch = scratch.data();
    kernel->run(args);
  }
};

// `make_program` makes it for a target. The first place is the interpreter.
template <class MakeProgram>
std::vector<PlacedKernel> kernels_everywhere(MakeProgram&& make_program) {
  std::vector<PlacedKernel> kernels;
  const auto& memory = process_code_memory();
  EXPECT_TRUE(memory.has_value());
  for (const Place& place : all_places()) {
    const Target& target = target_for(place.isa);
    const vir::Program program = make_program(target);
    auto kernel = make_kernel(program, place.backend, target, *memory);
    EXPECT_TRUE(kernel.has_value()) << name_of(place) << ": " << kernel.error().message;
    if (!kernel) continue;
    kernels.push_back({name_of(place), std::move(*kernel), static_cast<size_t>(program.scratch_bytes) / 4});
  }
  return kernels;
}

}  // namespace convsmith::test

// A register tile as the lowering makes it: steps x vectors accumulators over a reduction, all data in
// one place. For tests and measurements of the back end alone.
#pragma once

#include <string>
#include <vector>

#include "codegen/vir/builder.hpp"

namespace convsmith::x86_test {

struct Tile {
  int steps;
  int vectors;
  int unroll = 4;
  int64_t row_floats = 64;  // input floats from one step to the next; also the length of the reduction
};

// steps argument: how often the whole tile runs.
inline vir::Program make_tile(const Tile& tile, int lanes) {
  using namespace vir;
  Builder b("tile" + std::to_string(tile.steps) + "x" + std::to_string(tile.vectors), lanes);
  const P in = b.arg_ptr(Arg::kIn);
  const P weights = b.arg_ptr(Arg::kWeights);
  const P out = b.arg_ptr(Arg::kOut);
  const I repeats = b.arg_int(Arg::kSteps);
  const auto vectors = static_cast<size_t>(tile.vectors);
  b.loop(repeats, "tile", [&] {
    std::vector<V> acc;
    for (int m = 0; m < tile.steps * tile.vectors; ++m) acc.push_back(b.constant(0.0F));
    const P x = b.pcopy(in);
    const P w = b.pcopy(weights);
    const I count = b.iconst(tile.row_floats / tile.unroll);
    b.loop(count, "reduce", [&] {
      for (int u = 0; u < tile.unroll; ++u) {
        std::vector<V> row;
        for (int v = 0; v < tile.vectors; ++v) {
          row.push_back(b.load(w, b.vector_bytes() * (u * tile.vectors + v)));
        }
        for (int m = 0; m < tile.steps; ++m) {
          const V value = b.vec();
          b.bcast(value, x, 4 * (m * tile.row_floats + u));
          for (size_t v = 0; v < vectors; ++v) {
            const V a = acc[static_cast<size_t>(m) * vectors + v];
            b.fma(a, value, row[v], a);
          }
        }
      }
      b.paddc(x, x, 4 * tile.unroll);
      b.paddc(w, w, b.vector_bytes() * tile.vectors * tile.unroll);
    });
    const V zero = b.constant(0.0F);
    for (size_t m = 0; m < acc.size(); ++m) {
      b.store(out, b.vector_bytes() * static_cast<int64_t>(m), b.max(zero, acc[m]));
    }
  });
  return b.take();
}

}  // namespace convsmith::x86_test

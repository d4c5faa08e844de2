// The programs of many layers, as hashes: what a change of the compiler that should change no code is held
// against. tests/data/vir_hashes.txt has a line for each layer of bench/shapes.csv in both layouts and for
// random ones, with a hash for each instruction set. With CONVSMITH_BLESS=1 the test writes the file instead;
// scripts/vir_hashes.sh says which lines differ from the last commit.
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "cli/measure/shapes.hpp"
#include "cli/verify/random_layer.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/text.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/parts.hpp"
#include "runtime/compile.hpp"
#include "tests/support/places.hpp"

namespace convsmith {
namespace {

constexpr Isa kIsas[] = {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kNeon};
constexpr uint64_t kRandomLayers = 300;

// The programs of all nests of a layer, one behind the other.
std::string programs_of(const ir::Graph& graph, const Target& target) {
  std::string text;
  for (const ir::Op& op : graph.ops) {
    if (op.kind != ir::OpKind::kNest) continue;
    for (const ir::Part& part : ir::split_parts(op.problem)) {
      const auto lowered = lower_layer(part.problem, target, "");
      text += lowered ? vir::print(lowered->program) : lowered.error().message;
    }
  }
  return text;
}

std::string hash_line(const std::string& name, const LayerSpec& spec) {
  std::string line = name;
  const auto problem = make_layer_problem(spec, Rules::kAny);
  if (!problem) return fmt::format("{} {}\n", line, problem.error().message);
  const auto graph = ir::build_graph(spec, problem->chain.front().channels, Rules::kAny);
  if (!graph) return fmt::format("{} {}\n", line, graph.error().message);
  for (const Isa isa : kIsas) {
    const std::string text = programs_of(*graph, target_for(isa));
    line += fmt::format(" {:016x}", XXH3_64bits(text.data(), text.size()));
  }
  return line + "\n";
}

std::string all_hashes() {
  std::string text = "# layer";
  for (const Isa isa : kIsas) text += fmt::format(" {}", isa_name(isa));
  text += "\n";
  const auto rows = cli::read_shapes(places::test_source("../bench/shapes.csv")).value();
  for (const cli::ShapeRow& row : rows) {
    LayerSpec spec = row.spec;
    text += hash_line(row.name, spec);
    spec.data_format = DataFormat::kChannelsFirst;
    std::swap(spec.input_shape[0], spec.input_shape[1]);
    text += hash_line(row.name + ".channels_first", spec);
  }
  for (uint64_t i = 0; i < kRandomLayers; ++i)
    text += hash_line(fmt::format("random.{}", i), cli::random_layer(cli::derive_seed(1, i), i));
  return text;
}

TEST(VirHashes, AreThoseOfTheLastBlessing) {
  const std::string path = places::test_data("vir_hashes.txt");
  const std::string now = all_hashes();
  if (std::getenv("CONVSMITH_BLESS") != nullptr) {
    std::ofstream(path) << now;
    return;
  }
  std::ifstream file(path);
  std::istringstream lines(now);
  std::string changed, expected, line;
  int count = 0;
  while (std::getline(lines, line)) {
    if (std::getline(file, expected) && expected == line) continue;
    changed += " " + line.substr(0, line.find(' '));
    ++count;
  }
  EXPECT_EQ(count, 0) << "Other programs than before for" << changed
                      << ".\nIf that is meant, CONVSMITH_BLESS=1 writes the new hashes.";
  EXPECT_FALSE(std::getline(file, expected)) << "Nothing is compared with '" << expected << "'.";
}

}  // namespace
}  // namespace convsmith

// The printed nest is what runs: the interpreter of nests, with scratch poisoned, gives the bits of the
// kernels; the text says all of it; and each block of the program is a loop, a copy or a tail of the nest,
// and the other way round. For every layer of the benchmarks in both layouts, and for random ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cli/measure/shapes.hpp"
#include "cli/verify/random_layer.hpp"
#include "codegen/target.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/buffers.hpp"
#include "ir/nest/nest_interp.hpp"
#include "ir/nest/nest_text.hpp"
#include "ir/nest/parts.hpp"
#include "runtime/compile.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/support/places.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"
#include "tests/support/sanitizers.hpp"

namespace convsmith::test {
namespace {

// The nests of a layer.
std::vector<Problem> problems_of(const LayerSpec& spec) {
  std::vector<Problem> problems;
  const auto problem = make_layer_problem(spec, Rules::kAny);
  if (!problem) return problems;
  const auto graph = ir::build_graph(spec, problem->chain.front().channels, Rules::kAny);
  if (!graph) return problems;
  for (const ir::Op& op : graph->ops) {
    if (op.kind != ir::OpKind::kNest) continue;
    for (const ir::Part& part : ir::split_parts(op.problem)) problems.push_back(part.problem);
  }
  return problems;
}

// With edges, and some of each loop inside, but not so many that it takes long.
int64_t few_steps(const Problem& p) {
  const int64_t each = p.filters * p.taps * p.group_channels();
  int64_t steps = std::clamp<int64_t>(300'000 / each, 1, 600) * p.stride;
  while (p.output_steps(steps) == 0) ++steps;
  return steps;
}

std::vector<float> run_nest(const ir::LoopNest& nest, Tensors t) {
  ir::interpret(
      nest, {t.in.data(), t.kernel.data(), t.bias.data(), t.out.data(), t.batch, t.steps, t.operand.data()},
      [](float x) { return x; });
  return t.out;
}

std::vector<float> run_code(const ir::LoopNest& nest, Isa isa, const Tensors& t) {
  const auto& memory = process_code_memory();
  const bool here = memory && isa <= detect_isa();
  const auto compiled =
      compile_nest(nest, here ? Backend::kXbyak : Backend::kInterp, isa, here ? *memory : nullptr);
  EXPECT_TRUE(compiled) << compiled.error().message;
  std::vector<float> out(t.out.size(), 9.0F);
  const auto packed =
      pack_weights(*compiled, t.kernel, nest.problem.has_bias ? t.bias : std::vector<float>());
  EXPECT_EQ(
      run_kernel(**compiled, packed->data, t.in.data(), out.data(), t.batch, t.steps, {}, t.operand.data()),
      RunStatus::kOk);
  return out;
}

// ---- Blocks and statements

// What of a nest a block of the program belongs to.
std::string statement_of(const ir::LoopNest& nest, const std::string& label) {
  static const std::map<std::string, std::string> kStatements = {{"band", "band"},
                                                                 {"side", "guard"},
                                                                 {"outside", "guard"},
                                                                 {"k.some", "guard"},
                                                                 {"rows.some", "guard"},
                                                                 {"inside", "skew"},
                                                                 {"edge", "skew"},
                                                                 {"phase", "skew"},
                                                                 {"lift", "part inside"},
                                                                 {"overlap", "part inside"},
                                                                 {"block", "inside o1"},
                                                                 {"tile", "inside tile"},
                                                                 {"position", "inside o2"},
                                                                 {"chunk", "inside o"},
                                                                 {"vectors", "copy"},
                                                                 {"keep", "copy"},
                                                                 {"in", "copy"},
                                                                 {"out", "copy"},
                                                                 {"stage", "copy"},
                                                                 {"meet", "copy"},
                                                                 {"q", "copy"},
                                                                 {"blocks", "copy"},
                                                                 {"few", "copy"},
                                                                 {"row", "copy"},
                                                                 {"column", "copy"},
                                                                 {"copy", "copy"},
                                                                 {"back", "tail shift"},
                                                                 {"high", "wide"},

                                                                 {"repeat", "tail join"},
                                                                 {"count", "mean"},
                                                                 {"some", "mean"},
                                                                 {"epilogue", "finish"},
                                                                 {"large", "nontemporal"},
                                                                 {"aligned", "nontemporal"},
                                                                 {"ask", "nontemporal"},
                                                                 {"stream", "nontemporal"},
                                                                 {"store", "nontemporal"},
                                                                 {"asked", "prefetch w"}};
  const bool wide =
      std::any_of(nest.loops.begin(), nest.loops.end(), [](const ir::Loop& l) { return l.wide > 1; });
  const ir::Inside inside = ir::inside_of(nest);
  if (label == "c" && nest.fused()) return inside.skewed ? "inside o2" : "guard";  // a tap that some rows see
  if (label == "o.1" && wide) return "wide";
  if (label == "short") return nest.staged() != nullptr ? "copy" : "tail shift";
  if (label == "columns" || label == "rest")
    return nest.staged() != nullptr || !nest.inside.empty() ? "copy" : "finish";
  if (label == "all") return nest.problem.reduce == Reduce::kMean ? "mean" : "copy";
  const auto found = kStatements.find(label);
  if (found != kStatements.end()) return found->second;
  return "for " + label.substr(0, label.find('.'));
}

bool has_tail(const ir::LoopNest& nest, ir::TailStrategy strategy) {
  return std::any_of(nest.loops.begin(), nest.loops.end(),
                     [&](const ir::Loop& loop) { return loop.tail.strategy == strategy; });
}

// All statements that a nest has.
std::set<std::string> statements(const ir::LoopNest& nest) {
  std::set<std::string> all;
  const ir::Inside inside = ir::inside_of(nest);
  for (size_t i = 0; i < nest.loops.size(); ++i) all.insert("for " + ir::loop_name(nest.loops, i));
  if (nest.guarded()) all.insert("guard");
  if (nest.cut() && !nest.guarded()) all.insert("band");
  if (ir::skews(nest.loops)) all.insert("skew");
  if (nest.staged() != nullptr) all.insert("copy");
  if (inside.vectors > 0) {
    all.insert({"part inside", inside.skewed ? "inside o2" : "inside tile"});
    if (inside.far) all.insert({"copy", "inside o1"});
    if (!inside.far && nest.problem.channels > 1) all.insert({"copy", "inside o"});
    if (!inside.far && nest.problem.filters > 1) all.insert("copy");
  }
  for (const ir::Loop& loop : nest.loops) {
    if (loop.wide > 1) all.insert("wide");
  }
  if (has_tail(nest, ir::TailStrategy::kShift)) all.insert("tail shift");
  if (ir::joins_rows(nest)) all.insert("tail join");
  if (nest.problem.reduce == Reduce::kMean) all.insert("mean");
  if (nest.hint(ir::HintKind::kNontemporal) != nullptr) all.insert("nontemporal");
  if (nest.hint(ir::HintKind::kPrefetchWeights) != nullptr) all.insert("prefetch w");
  all.insert("finish");
  return all;
}

// Those that always are a block of their own: no loop that may run once, nothing that may be written out.
bool must_have_block(const ir::LoopNest& nest, const std::string& statement) {
  static const std::set<std::string> kAlways = {"for n",       "band",      "guard",
                                                "part inside", "inside o1", "inside o2",
                                                "inside tile", "inside o",  "nontemporal"};
  if (kAlways.count(statement) > 0) return true;
  if (statement == "copy") return nest.staged() != nullptr;
  if (statement == "tail join") return ir::buffers(nest).size() > (nest.problem.has_weights() ? 1U : 0U);
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const ir::Loop& loop = nest.loops[i];
    if (loop.role != ir::Role::kSerial || "for " + ir::loop_name(nest.loops, i) != statement) continue;
    if (loop.dim == ir::Dim::kStep) return true;
    return !ir::is_reduction(loop.dim) && *ir::loop_extent(nest, i) > loop.step;
  }
  return false;
}

void expect_blocks_are_statements(const ir::LoopNest& nest, const vir::Program& program) {
  const std::set<std::string> all = statements(nest);
  std::set<std::string> found;
  for (const std::string& label : program.labels) {
    const std::string statement = statement_of(nest, label);
    EXPECT_EQ(all.count(statement), 1U)
        << "block '" << label << "' is no '" << statement << "' of " << ir::print(nest);
    found.insert(statement);
  }
  for (const std::string& statement : all) {
    if (!must_have_block(nest, statement)) continue;
    EXPECT_EQ(found.count(statement), 1U) << "no block is '" << statement << "' of " << ir::print(nest);
  }
}

// ----

void check(Problem problem, Isa isa, Random& r) {
  if (problem.pad_left > INT32_MAX) return;  // a phase without a tap: nothing but padding, far away
  problem.activation = {};
  problem.after = {};
  const auto layer = lower_layer(problem, target_for(isa), "");
  ASSERT_TRUE(layer) << layer.error().message;
  const ir::LoopNest& nest = layer->nest;
  SCOPED_TRACE(ir::print(nest));
  expect_blocks_are_statements(nest, layer->program);
  const auto read = ir::parse_nest(ir::print(nest));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(*read == nest) << ir::print(*read);
  int64_t scratch = 0;
  for (const ir::Buffer& buffer : ir::buffers(nest))
    scratch += buffer.place == ir::Storage::kScratch ? buffer.bytes() : 0;
  EXPECT_GE(layer->program.scratch_bytes, scratch);
  // To make the weights of the largest layers takes longer than the rest: one run of them is enough.
  const bool large = problem.taps * problem.group_channels() * problem.filters > 1'000'000;
  if (large && (isa == Isa::kAvx2 || problem.layout == Layout::kChannelsFirst)) return;
  const Tensors t(problem, 1, few_steps(problem), r);
  EXPECT_EQ(bits_of(run_nest(nest, t)), bits_of(run_code(nest, isa, t)));
}

constexpr Isa kIsas[] = {Isa::kAvx512, Isa::kAvx2};

TEST(NestTruth, LayersOfTheBenchmarks) {
  Random r(1);
  const auto rows = cli::read_shapes(places::test_source("../bench/shapes.csv")).value();
  // Of the interpreter, which most of the time goes to, a sanitizer has seen all after a few layers.
  for (size_t i = 0; i < rows.size(); i += CONVSMITH_TEST_SANITIZED ? 4 : 1) {
    const cli::ShapeRow& row = rows[i];
    for (const DataFormat format : {DataFormat::kChannelsLast, DataFormat::kChannelsFirst}) {
      LayerSpec spec = row.spec;
      if (spec.data_format != format) std::swap(spec.input_shape[0], spec.input_shape[1]);
      spec.data_format = format;
      for (const Problem& problem : problems_of(spec)) {
        for (const Isa isa : kIsas) {
          SCOPED_TRACE(row.name + " on " + std::string(isa_name(isa)));
          check(problem, isa, r);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST(NestTruth, RandomLayers) {
  Random r(2);
  for (uint64_t i = 0; i < 300 && !HasFailure(); ++i) {
    const LayerSpec spec = cli::random_layer(cli::derive_seed(1, i), i);
    for (const Problem& problem : problems_of(spec)) {
      SCOPED_TRACE("layer " + std::to_string(i));
      check(problem, kIsas[i % 2], r);
    }
  }
}

}  // namespace
}  // namespace convsmith::test

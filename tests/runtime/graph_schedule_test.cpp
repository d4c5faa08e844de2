// Which passes of a graph run together, as text: every legal schedule gives the bits of the chosen one.
#include "runtime/graph_schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/verify/check_graph.hpp"
#include "cli/verify/check_model.hpp"
#include "cli/verify/random_model.hpp"
#include "runtime/model.hpp"
#include "runtime/rolling_group.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith {
namespace {

using testing::HasSubstr;

std::shared_ptr<const CompiledGraph> compiled(const ModelSpec& spec) {
  KernelCache kernels;
  auto graph = optimized_graph(spec, Rules::kAny).value();
  return compile_graph(std::move(graph), Backend::kInterp, Isa::kAvx2, {}, kernels).value();
}

// Random models whose graph has a group.
std::vector<ModelSpec> models_with_groups(size_t count) {
  std::vector<ModelSpec> models;
  for (uint64_t seed = 0; models.size() < count; ++seed) {
    ModelSpec spec = cli::random_model(seed);
    if (!schedule_of(*compiled(spec)).groups.empty()) models.push_back(std::move(spec));
  }
  return models;
}

TEST(GraphSchedule, TextRoundTrips) {
  for (const ModelSpec& spec : models_with_groups(8)) {
    const auto graph = compiled(spec);
    const GraphSchedule schedule = schedule_of(*graph);
    const auto parsed = parse_graph_schedule(print(schedule));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, schedule);
    EXPECT_EQ(schedule_of(*with_schedule(*graph, *parsed).value()), schedule);
  }
  for (const char* text : {"group 1..2 chunk 4", " ;\tgroup\t1..2 chunk 4", "no groups", " no groups\n",
                           "samples within 1M; no groups", "samples within 4096"})
    EXPECT_TRUE(is_graph_schedule(text)) << text;
  for (const char* text : {"", "groups", "cut o", "no groups; cut o", "sample", "samples"})
    EXPECT_FALSE(is_graph_schedule(text)) << text;
  EXPECT_EQ(print(GraphSchedule{}), "no groups");
  EXPECT_EQ(parse_graph_schedule(" no groups ").value(), GraphSchedule{});
  EXPECT_EQ(print(parse_graph_schedule(" group 3 .. 4  chunk 512 ;; group 6..8 chunk 9;").value()),
            "group 3..4 chunk 512; group 6..8 chunk 9");
  for (const char* text : {"samples within 1M; no groups", "samples within 5000; group 3..4 chunk 512"})
    EXPECT_EQ(print(parse_graph_schedule(text).value()), text);
}

TEST(GraphSchedule, AnyChunkGivesTheSameBits) {
  const auto back_ends = cli::available_back_ends(Backend::kAuto, Isa::kAuto);
  cli::Pools pools;
  for (const ModelSpec& spec : models_with_groups(5)) {
    const auto graph = compiled(spec);
    std::vector<std::string> texts = {"no groups"};
    for (const int64_t rows : {1, 3, 1000}) {
      GraphSchedule schedule = schedule_of(*graph);
      if (schedule.samples_within > 0) schedule.samples_within = 3000 * rows;
      for (Group& group : schedule.groups)
        group.chunk = rows * graph->ops[group.last - 1].parts[0].part.row_steps;
      texts.push_back(print(schedule));
    }
    for (const std::string& text : texts) {
      const auto model = cli::make_checked_model(spec, Rules::kAny, back_ends, {.text = text});
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_EQ(print(schedule_of(*model->variants.front().graph)), text);
      for (uint64_t seed = 0; seed < 4; ++seed) {
        const auto finding =
            cli::check_call(*model, cli::random_model_call(*model, seed), {false, {1, 3}}, pools);
        EXPECT_FALSE(finding) << text << ": " << finding->what;
      }
    }
  }
}

TEST(GraphSchedule, RefusesWithASentence) {
  const std::string form = "or 'group FIRST..LAST chunk STEPS'";
  const std::string bytes = "expected 'samples within BYTES'";
  const std::string order = "the last pass of a group comes behind its first one";
  const std::pair<const char*, std::string> texts[] = {
      {"group", form},
      {"group 1", form},
      {"group 1..2", form},
      {"group 1..2 chunk", form},
      {"group 1..2 chunk 0", form},
      {"group 0..1 chunk 4", form},
      {"group 1..2 chunk x", form},
      {"group 1..2 chunk 4 more", form},
      {"group 1..2 chunk 99999999999999999999", form},
      {"no groups at all", form},
      {"group 1..2 chunk 4\n\ngroup 3..4 chunk 4", form},
      {"group 2..2 chunk 4", order},
      {"group 2..1 chunk 4", order},
      {"samples within", bytes},
      {"samples within 0", bytes},
      {"samples within 4K", bytes},
      {"samples within 9999999999999M", bytes},
      {"samples within 1M; samples within 1M", "the samples stand there twice"},
      {"no groups; group 1..2 chunk 4", "'no groups' stands beside a group"},
      {"group 1..2 chunk 4; no groups", "'no groups' stands beside a group"},
  };
  for (const auto& [text, message] : texts) {
    const auto parsed = parse_graph_schedule(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr(message));
    EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
  }
  const auto graph = compiled(models_with_groups(1).front());
  const Group group = schedule_of(*graph).groups.front();
  const size_t passes = graph->ops.size();
  const std::pair<GraphSchedule, const char*> refusals[] = {
      {{0, {{passes - 1, passes, 64}}}, "the graph has"},
      {{0, {group, group}}, "have no pass in common"},
  };
  for (const auto& [schedule, message] : refusals) {
    const auto out = with_schedule(*graph, schedule);
    ASSERT_FALSE(out) << print(schedule);
    EXPECT_THAT(out.error().message, HasSubstr(message));
  }
  EXPECT_THAT(check_graph_schedule("cut o").error().message, HasSubstr("group 3..4 chunk 512'"));
}

// Dilated stacks with residual and skip sums, concatenations and look-ahead: passes turn by turn, whatever
// comes at a time.
TEST(GraphSchedule, RollingBuffersGiveTheSameBits) {
  const auto back_ends = cli::available_back_ends(Backend::kAuto, Isa::kAuto);
  cli::Pools pools;
  int rolled = 0;
  for (uint64_t seed = 100; rolled < 8; ++seed) {
    const ModelSpec spec = cli::random_model(seed);
    const auto graph = compiled(spec);
    const auto runs = rolling_runs(graph->graph, 3, INT64_MAX);
    if (runs.empty()) continue;
    ++rolled;
    for (const int64_t chunk : {1, 2, 7, 64}) {
      GraphSchedule schedule;
      for (const ir::OpRange& run : runs) schedule.groups.push_back({run.first, run.last, chunk});
      const auto model = cli::make_checked_model(spec, Rules::kAny, back_ends, {.text = print(schedule)});
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_EQ(model->variants.front().graph->rolling.size(), runs.size());
      for (uint64_t call = 0; call < 3; ++call) {
        const auto finding =
            cli::check_call(*model, cli::random_model_call(*model, call), {false, {1, 3}}, pools);
        EXPECT_FALSE(finding) << seed << " " << print(schedule) << ": " << finding->what;
      }
    }
  }
}

// Two passes, too, of which the second one looks at several steps: nobody chooses such a group.
TEST(GraphSchedule, PairsRollWhereTheyAreAskedTo) {
  test::ModelMaker m(test::reals(5));
  LayerSpec wide;
  wide.filters = 4;
  wide.kernel_size = 1;
  LayerSpec narrow;
  narrow.filters = 2;
  narrow.kernel_size = 3;
  narrow.padding = Padding::kSame;
  const int first = m.conv("first", m.input({std::nullopt, 2}), wide, 2);
  const ModelSpec spec = m.finish({m.conv("second", first, narrow, 4)});
  const auto back_ends = cli::available_back_ends(Backend::kAuto, Isa::kAuto);
  cli::Pools pools;
  for (const char* text : {"group 1..2 chunk 1", "group 1..2 chunk 4"}) {
    const auto model = cli::make_checked_model(spec, Rules::kAny, back_ends, {.text = text});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->variants.front().graph->rolling.size(), 1U);
    for (uint64_t call = 0; call < 6; ++call) {
      const auto finding =
          cli::check_call(*model, cli::random_model_call(*model, call), {false, {1, 3}}, pools);
      EXPECT_FALSE(finding) << text << ": " << finding->what;
    }
  }
}

// Whoever has the memory of the largest call has that of all.
TEST(GraphSchedule, MoreSamplesOrStepsNeedNoLessMemory) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const auto model = compiled(cli::random_model(seed));
    const auto graph = seed % 2 == 0 ? model : cli::with_short_chains(*model);
    if (graph->samples_within == 0 || graph->graph.inputs.size() != 1) continue;
    const auto bytes = [&](int64_t batch, int64_t steps) {
      return workspace_bytes(*graph, batch, std::vector<int64_t>{steps}, 1);
    };
    for (int64_t batch = 1; batch < 70; batch += 1 + batch / 3) {
      for (int64_t steps = 1; steps < 900; steps += 1 + steps / 5) {
        const size_t here = bytes(batch, steps);
        EXPECT_GE(bytes(batch + 1, steps), here) << seed << ": " << batch << " of " << steps;
        EXPECT_GE(bytes(batch, steps + 1), here) << seed << ": " << batch << " of " << steps;
      }
    }
  }
}

// Ten thousand samples need no more memory than a few, and give their bits.
TEST(GraphSchedule, ManySamplesNeedTheMemoryOfABlock) {
  int split = 0;
  for (uint64_t seed = 0; split < 4; ++seed) {
    const auto graph = compiled(cli::random_model(seed));
    if (graph->samples_within == 0 || graph->graph.inputs.size() != 1) continue;
    const std::vector<int64_t> steps = {40};
    const size_t all = workspace_bytes(*with_schedule(*graph, {}).value(), 10'000, steps, 1);
    if (all < size_t{64} << 20) continue;
    ++split;
    const auto within = static_cast<size_t>(graph->samples_within);
    EXPECT_LE(workspace_bytes(*graph, 10'000, steps, 1),
              std::max(within, workspace_bytes(*graph, 1, steps, 1)) + 4096);
  }
}

}  // namespace
}  // namespace convsmith

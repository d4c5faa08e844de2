// Tuning files: what is read and refused, and that kernels get their schedules where these are legal.
#include "runtime/tuning.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convsmith/convsmith.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/aot/artifact.hpp"
#include "runtime/compiled_graph.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/c_api.hpp"

namespace convsmith {
namespace {

using cli_test::TemporaryFolder;
using testing::HasSubstr;

constexpr const char* kText = "Conv1D(32, 3, padding='same', input_shape=(None, 8))";
// None of them is what choose_schedule gives.
constexpr const char* kSchedule =
    "cut o; split f 16; lanes f1; split o 3; tile o1; reorder n g b f o o1 f1 k c";
constexpr const char* kWide =
    "cut o; split f 32; split f1 16; tile f1; lanes f2; split o 2; tile o1; reorder n g b f o o1 f1 f2 k c";

Problem problem() {
  return ir::parse_problem(kText).value();
}

TuningEntry entry(const std::string& schedule, Isa isa = Isa::kAvx512) {
  return {tuning_problem(problem()), isa, Backend::kXbyak, 1, 1024, schedule, 12.5, 11.25};
}

std::string file_with(const TemporaryFolder& folder, const char* name, const TuningEntry& entry) {
  return folder.write(name, print_tuning({"0.1.0", this_cpu(), {entry}}));
}

TEST(TuningFile, RoundTrips) {
  const TuningFile file{
      "0.1.0", {"a \"CPU\"", 6, 143, 0, {"avx2", "fma"}}, {entry(kSchedule), entry(kWide, Isa::kAvx2)}};
  const std::string text = print_tuning(file);
  const auto read = parse_tuning(text, "t.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->cpu, file.cpu);
  EXPECT_EQ(read->convsmith, file.convsmith);
  ASSERT_EQ(read->entries.size(), 2U);
  EXPECT_EQ(read->entries[1].isa, Isa::kAvx2);
  EXPECT_EQ(read->entries[1].schedule, kWide);
  EXPECT_EQ(read->entries[0].best_us, 11.25);
  EXPECT_EQ(print_tuning(*read), text);
}

// The brand of a virtual machine is that of four generations: all else counts, too.
TEST(TuningFile, KnowsTheCpuByMoreThanItsName) {
  const CpuId here = this_cpu();
  EXPECT_GT(here.family, 0);
  EXPECT_EQ(foreign_note(Tuning({"0.1.0", here, {}})), "");
  CpuId model = here;
  ++model.model;
  CpuId stepping = here;
  ++stepping.stepping;
  CpuId features = here;
  features.features.emplace_back("avx1024");
  for (const CpuId& other : {model, stepping, features}) {
    EXPECT_EQ(foreign_note(Tuning({"0.1.0", other, {}})),
              "Its schedules were measured on another CPU, " + describe(other) +
                  ", and may be slow on this one, " + describe(here) + ".");
  }
  // Files of before know no more than a name.
  const auto old = parse_tuning(
      R"({"format": "convsmith tuning", "version": 1, "convsmith": "0.1.0", "cpu": "A CPU", "entries": []})",
      "old.json");
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_NE(foreign_note(Tuning(*old)).find("another CPU, A CPU, and"), std::string::npos);
}

TEST(TuningFile, RefusesWhatItIsNot) {
  const std::string good = print_tuning({"0.1.0", {"CPU", 6, 143, 8, {"avx2"}}, {entry(kSchedule)}});
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "it is no JSON"},
      {good.substr(0, good.size() / 2), "it is no JSON"},
      {"[1, 2]", "has no 'format' that is a text"},
      {"{}", "has no 'format' that is a text"},
      {with("convsmith tuning", "something else"), "has no 'format' \"convsmith tuning\""},
      {with("\"version\": 2", "\"version\": 3"), "has version 3, not 2"},
      {with("\"version\": 2", "\"version\": 2.0"), "'version'"},
      {with("\"version\": 2", "\"version\": 1"), "'cpu' that is a text"},
      {with("\"cpu\":", "\"cpu\": 3, \"gpu\":"), "'cpu' that is an object"},
      {with("\"family\": 6", "\"family\": \"six\""), "its 'cpu' has no 'family' that is a whole number"},
      {with("\"model\"", "\"modell\""), "its 'cpu' has no 'model'"},
      {with("\"avx2\"", "2"), "its 'cpu' has a 'features' that is no list of texts"},
      {with("\"entries\"", "\"others\""), "no list of 'entries'"},
      {with("\"cpu\"", "\"more\": 1, \"cpu\""), "members that are not known"},
      {with("\"schedule\"", "\"plan\""), "entry 1 has no 'schedule'"},
      {with(kSchedule, ""), "entry 1 has an empty 'schedule'"},
      {with("avx512", "avx1024"), "entry 1 has an unknown 'isa'"},
      {with("xbyak", "gcc"), "entry 1 has an unknown 'backend'"},
      {with("\"batch\": 1", "\"batch\": 0"), "entry 1 has no positive 'batch'"},
      {with("\"batch\": 1", "\"batch\": 18446744073709551615"), "entry 1 has no positive 'batch'"},
      {with("12.5", "-12.5"), "entry 1 has no positive 'chosen_us'"},
      {with("11.25", "\"11.25\""), "'best_us' that is a number"},
      {with("\"isa\"", "\"note\": null, \"isa\""), "entry 1 has members that are not known"},
      {print_tuning({"0.1.0", {}, {entry(kSchedule), entry(kWide)}}), "entry 2 is for the same kernel"},
      {std::string(10, '['), "it is no JSON"},
      {std::string(50'000'000, '['), "it is nested deeper than any"},
      {std::string(1'000'000, '[') + std::string(1'000'000, ']'), "it is nested deeper than any"},
      {with("\"family\": 6", "\"family\": 1e999"), "it is no JSON"},
      {with("\"version\": 2", "\"version\": 100000000000000000000000"), "'version'"},
      {with("12.5", "1e-999"), "entry 1 has no positive 'chosen_us'"},
      {with("\"CPU\"", "\"\\u001b[31m\""), "its 'cpu' has control characters in its 'name'"},
      {with("avx2", "avx\\n2"), "its 'cpu' has control characters in its 'features'"},
      {with("CPU", "\xff\xfe"), "it is no JSON"},
  };
  for (const auto& [text, why] : cases) {
    const auto read = parse_tuning(text, "t.json");
    ASSERT_FALSE(read) << why;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidData);
    EXPECT_THAT(read.error().message, HasSubstr("'t.json' is no tuning file"));
    EXPECT_THAT(read.error().message, HasSubstr(why));
  }
}

TEST(Tuning, IsKeyedByWhatAKernelComputes) {
  const Tuning tuning({"", {}, {entry(kSchedule)}});
  Problem p = problem();
  ASSERT_NE(tuning.find(p, Isa::kAvx512), nullptr);
  EXPECT_EQ(*tuning.find(p, Isa::kAvx512), kSchedule);
  p.pad_same = false;
  p.pad_left = 2;  // padding is a matter of the call
  EXPECT_NE(tuning.find(p, Isa::kAvx512), nullptr);
  EXPECT_EQ(tuning.find(p, Isa::kAvx2), nullptr);
  p.filters = 31;
  EXPECT_EQ(tuning.find(p, Isa::kAvx512), nullptr);
}

TEST(Tuning, FilesAreReadAgainWhenTheyHaveChanged) {
  const TemporaryFolder folder;
  const std::string path = file_with(folder, "t.json", entry(kSchedule));
  const auto first = load_tuning(path);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(load_tuning(path).value(), *first);
  file_with(folder, "t.json", entry(kWide));
  const auto second = load_tuning(path);
  ASSERT_TRUE(second);
  EXPECT_EQ(*(*second)->find(problem(), Isa::kAvx512), kWide);
  EXPECT_EQ(*(*first)->find(problem(), Isa::kAvx512), kSchedule);

  const auto missing = load_tuning(folder / "none.json");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_FALSE(load_tuning(folder.write("bad.json", "{")));
  EXPECT_FALSE(load_tuning("/dev/zero"));
}

// The interpreter runs the programs of any instruction set, so this needs no CPU that has it.
CompileOptions options_with(const std::string& tuning, const std::string& schedule = "") {
  return {.backend = Backend::kInterp, .isa = Isa::kAvx512, .schedule = schedule, .tuning = tuning};
}

TEST(Tuning, AnEngineUsesTheScheduleOfTheFile) {
  const TemporaryFolder folder;
  const std::string path = file_with(folder, "t.json", entry(kSchedule));
  Engine engine;
  ASSERT_TRUE(engine.compile(kText, options_with("", kSchedule)));
  ASSERT_EQ(engine.stats().compiles, 1U);
  ASSERT_TRUE(engine.compile(kText, options_with(path)));
  EXPECT_EQ(engine.stats().compiles, 1U) << "the kernel of that schedule was there";
  EXPECT_EQ(engine.stats().hits, 0U) << "but no layer with these options";
  ASSERT_TRUE(engine.compile(kText, options_with("")));
  EXPECT_EQ(engine.stats().compiles, 2U) << "without the file another schedule is chosen";
  // A schedule that is given wins.
  ASSERT_TRUE(engine.compile(kText, options_with(path, kWide)));
  EXPECT_EQ(engine.stats().compiles, 3U);
}

TEST(Tuning, FilesDoNotShareALayer) {
  const TemporaryFolder folder;
  const std::string one = file_with(folder, "one.json", entry(kSchedule));
  const std::string two = file_with(folder, "two.json", entry(kWide));
  Engine engine;
  ASSERT_TRUE(engine.compile(kText, options_with(one)));
  ASSERT_TRUE(engine.compile(kText, options_with(two)));
  EXPECT_EQ(engine.stats().compiles, 2U);
  EXPECT_EQ(engine.stats().hits, 0U);
  ASSERT_TRUE(engine.compile(kText, options_with(one)));
  EXPECT_EQ(engine.stats().hits, 1U);
}

TEST(Tuning, SchedulesThatAreNotLegalFallBack) {
  const TemporaryFolder folder;
  for (const char* schedule :
       {"nonsense", "split nowhere 4", "cut o", "cut o; split f 8; lanes f1; reorder n g b f o f1 k c"}) {
    const std::string path = file_with(folder, "t.json", entry(schedule));
    Engine engine;
    const auto chosen = engine.compile(kText, options_with(""));
    const auto tuned = engine.compile(kText, options_with(path));
    ASSERT_TRUE(chosen && tuned) << schedule;
    // The kernel of the chosen schedule was there; what was compiled is the attempt.
    EXPECT_EQ(engine.stats().compiles, 2U) << schedule;
    const std::vector<float> kernel(3 * 8 * 32, 1.0F);
    const std::vector<float> bias(32);
    const auto weights = tuned->pack(kernel, bias);
    ASSERT_TRUE(weights);
    const std::vector<float> in(5 * 8, 1.0F);
    std::vector<float> out(5 * 32);
    EXPECT_EQ(tuned->run(*weights, in.data(), out.data(), 1, 5), RunStatus::kOk);
    EXPECT_EQ(out[2 * 32], 24.0F);
  }
  Engine engine;
  const auto refused = engine.compile(kText, options_with(folder.write("bad.json", "{}")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidData);
}

TEST(Tuning, SharedWeightsAllowOnlyWhatReadsThemAlike) {
  const Target& avx512 = target_for(Isa::kAvx512);
  const Target& avx2 = target_for(Isa::kAvx2);
  const auto chosen = lower_layer(problem(), avx2, {}, &avx512);
  ASSERT_TRUE(chosen);
  const auto tuned_with = [&](const char* schedule) {
    const Tuning tuning({"", {}, {entry(schedule, Isa::kAvx2)}});
    return lower_tuned(problem(), avx2, &tuning, &avx512).value();
  };
  // Whole panels of 16 filters.
  const LoweredLayer fits = tuned_with(
      "cut o; split f 16; split f1 8; tile f1; lanes f2; split o 3; tile o1; reorder n g b f o o1 f1 f2 k c");
  EXPECT_NE(fits.schedule, chosen->schedule);
  EXPECT_THAT(ir::print(fits.schedule), HasSubstr("split o 3"));
  EXPECT_EQ(ir::pack_layout(fits.nest), ir::pack_layout(chosen->nest));
  // Half a panel, and lanes over steps, whose weights lie otherwise.
  for (const char* schedule :
       {"cut o; split f 8; lanes f1; split o 3; tile o1; reorder n g b f o o1 f1 k c",
        "cut o; split o 8; lanes o1; split f 4; tile f1; reorder n b o g f f1 o1 k c; stage", "nonsense"})
    EXPECT_EQ(tuned_with(schedule).schedule, chosen->schedule) << schedule;
  // Without others that read its weights all of them are used.
  const Tuning alone({"", {}, {entry("cut o; split f 8; lanes f1; reorder n g b f o f1 k c", Isa::kAvx2)}});
  EXPECT_EQ(lower_tuned(problem(), avx2, &alone).value().schedule.size(), 4U);
}

TEST(Tuning, ArtifactsOfSeveralVariantsTakeIt) {
  const auto spec = parse_layer(kText, Rules::kAny);
  ASSERT_TRUE(spec);
  const auto graph = ir::build_graph(spec->spec, 8, Rules::kAny);
  ASSERT_TRUE(graph);
  const ArtifactSource source{*graph, kText, {{"kernel", {3, 8, 32}}, {"bias", {32}}}};
  const auto object = [&](const Tuning* tuning, std::vector<Isa> targets) {
    const auto artifact = compile_artifact(source, {"c", std::move(targets), Backend::kXbyak, tuning});
    EXPECT_TRUE(artifact) << artifact.error().message;
    return artifact ? artifact->object : std::vector<uint8_t>();
  };
  const Tuning tuning({"", {}, {entry(kSchedule), entry("nonsense", Isa::kAvx2)}});
  const std::vector<Isa> both = {Isa::kAvx512, Isa::kAvx2};
  EXPECT_NE(object(&tuning, both), object(nullptr, both));
  EXPECT_NE(object(&tuning, {Isa::kAvx512}), object(nullptr, {Isa::kAvx512}));
  EXPECT_EQ(object(&tuning, {Isa::kAvx2}), object(nullptr, {Isa::kAvx2}));
}

TEST(Tuning, TheCInterfaceTakesIt) {
  const TemporaryFolder folder;
  const std::string good = file_with(folder, "t.json", entry(kSchedule));
  const std::string missing = folder / "none.json";
  auto options = test::sized<convsmith_compile_options>();
  options.backend = CONVSMITH_BACKEND_INTERP;
  options.isa = CONVSMITH_ISA_AVX512;
  options.tuning = good.c_str();
  const uint64_t before = default_engine().stats().compiles;
  ASSERT_TRUE(default_engine().compile(kText, options_with("", kSchedule)));
  const test::OwnModel model = test::compile_c(kText, &options);
  EXPECT_EQ(default_engine().stats().compiles, before + 1) << "both have the kernel of that schedule";
  options.tuning = missing.c_str();
  convsmith_model* none = nullptr;
  EXPECT_EQ(convsmith_compile(kText, &options, &none), CONVSMITH_IO);
  EXPECT_THAT(convsmith_last_error(), HasSubstr("none.json"));
  // A caller of the version before, whose struct ends before it.
  auto old = test::sized<convsmith_compile_options>(offsetof(convsmith_compile_options, tuning));
  old.tuning = missing.c_str();
  test::compile_c(kText, &old);
}

}  // namespace
}  // namespace convsmith

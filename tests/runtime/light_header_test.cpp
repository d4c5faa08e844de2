// Alone in its file: what including convsmith.hpp brings along.
#include "convsmith/convsmith.hpp"

#if defined(_GLIBCXX_MEMORY) || defined(_GLIBCXX_IOSTREAM) || defined(_GLIBCXX_ALGORITHM)
constexpr bool kHeavy = true;
#else
constexpr bool kHeavy = false;
#endif

#include <gtest/gtest.h>

namespace convsmith {
namespace {

// <memory> alone takes as long as a fourth of all that convsmith.hpp includes.
TEST(LightHeader, BringsNoHeavyOneOfTheStandardLibrary) {
  EXPECT_FALSE(kHeavy);
}

// Its own pointer behaves as the std::shared_ptr inside: copied, moved, assigned to itself, outliving its
// maker.
TEST(LightHeader, LayersAndWeightsAreValues) {
  const float kernel[] = {2.0F};
  const float x[] = {3.0F};
  const auto run = [&](const CompiledLayer& layer, const PackedWeights& weights) {
    float y = 0;
    EXPECT_EQ(layer.run(weights, x, &y, 1, 1), RunStatus::kOk);
    return y;
  };
  auto engine = std::unique_ptr<Engine>(new Engine);
  auto made = engine->compile("Conv1D(1, 1, use_bias=False, input_shape=(None, 1))");
  ASSERT_TRUE(made) << made.error().message;
  CompiledLayer layer = *made;
  engine.reset();
  CompiledLayer& same = layer;
  layer = same;
  CompiledLayer moved = std::move(layer);
  layer = moved;
  PackedWeights weights = *moved.pack(kernel, {});
  PackedWeights copy = weights;
  weights = PackedWeights{};
  EXPECT_EQ(layer.run(weights, x, nullptr, 1, 1), RunStatus::kNullPointer);
  EXPECT_EQ(run(layer, copy), 6.0F);
  weights = std::move(copy);
  EXPECT_EQ(run(moved, weights), 6.0F);
  ThreadPool pool(2);
  ThreadPool other = std::move(pool);
  EXPECT_EQ(other.threads(), 2);
}

}  // namespace
}  // namespace convsmith

// Random layers: legal, bounded, of every class, the same for a seed, and as rows of a table.
#include "bench/hunt/draw_shape.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "bench/peers/limits.hpp"
#include "cli/io/files.hpp"
#include "frontend/keras/make_problem.hpp"

namespace convsmith::bench {
namespace {

constexpr int64_t kDrawn = 600;

TEST(DrawShape, LayersAreLegalBoundedAndOfEveryClass) {
  std::set<LayerClass> classes;
  for (int64_t i = 0; i < kDrawn; ++i) {
    const Shape1d shape = draw_shape(5, i);
    SCOPED_TRACE(csv_row(shape));
    const auto problem = make_problem(shape.spec, Rules::kAny);
    ASSERT_TRUE(problem) << problem.error().message;
    EXPECT_GE(problem->output_steps(shape.steps), 1);
    const auto work = work_of(shape);
    ASSERT_TRUE(work);
    EXPECT_LE(work->operations, 2 * kMostMultiplyAdds);
    EXPECT_LE(work->bytes, kMostBytes);
    EXPECT_EQ(csv_row(draw_shape(5, i)), csv_row(shape));
    classes.insert(layer_class(shape));
  }
  EXPECT_EQ(classes.size(), static_cast<size_t>(kLayerClasses));
}

TEST(DrawShape, RowsAreReadAsTheSameLayers) {
  std::string text =
      "name,op,batch,steps,in_channels,filters,kernel_size,strides,dilation_rate,groups,padding\n";
  for (int64_t i = 0; i < 50; ++i) text += csv_row(draw_shape(6, i)) + "\n";
  const std::string path = testing::TempDir() + "/drawn_shapes.csv";
  ASSERT_TRUE(cli::write_text(path, text));
  const std::vector<Shape1d> read = read_shapes(path);
  ASSERT_EQ(read.size(), 50U);
  for (int64_t i = 0; i < 50; ++i)
    EXPECT_EQ(csv_row(read[static_cast<size_t>(i)]), csv_row(draw_shape(6, i)));
}

TEST(DrawShape, ShrinksToTheSmallestThatIsStillSlow) {
  Shape1d shape;
  shape.name = "a";
  shape.batch = 8;
  shape.steps = 1000;
  shape.spec.filters = 96;
  shape.spec.kernel_size = 31;
  shape.spec.strides = 2;
  shape.spec.groups = 12;
  shape.spec.padding = Padding::kSame;
  shape.spec.input_shape = {std::nullopt, 96};
  const auto many_filters = [](const Shape1d& s) { return s.spec.filters >= 40 && s.spec.strides == 2; };
  EXPECT_EQ(csv_row(shrink(shape, many_filters, 1000)), "a,conv1d,1,1,6,48,1,2,1,6,same");
  EXPECT_EQ(csv_row(shrink(
                shape, [](const Shape1d&) { return false; }, 1000)),
            csv_row(shape));
  EXPECT_EQ(csv_row(shrink(shape, many_filters, 0)), csv_row(shape));
}

}  // namespace
}  // namespace convsmith::bench

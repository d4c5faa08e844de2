// The table of shapes and the classes of its layers.
#include "bench/shapes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "frontend/keras/parse_layer.hpp"

namespace convsmith::bench {
namespace {

LayerClass class_of(const std::string& text, int64_t steps = 100) {
  return layer_class({"", 1, steps, parse_layer(text, Rules::kAny).value().spec});
}

TEST(Shapes, ClassesByTheSpec) {
  EXPECT_EQ(class_of("Conv1D(33, 3, input_shape=(None, 33))"), LayerClass::kDense);
  EXPECT_EQ(class_of("Conv1D(33, 3, input_shape=(None, 32))"), LayerClass::kSmallChannels);
  EXPECT_EQ(class_of("Conv1D(32, 3, input_shape=(None, 64))"), LayerClass::kSmallChannels);
  EXPECT_EQ(class_of("Conv1D(64, 3, input_shape=(None, 4))"), LayerClass::kStem);
  EXPECT_EQ(class_of("Conv1D(64, 3, input_shape=(None, 5))"), LayerClass::kSmallChannels);
  EXPECT_EQ(class_of("Conv1D(8, 3, input_shape=(None, 64))"), LayerClass::kFewFilters);
  EXPECT_EQ(class_of("Conv1D(9, 3, input_shape=(None, 64))"), LayerClass::kSmallChannels);
  EXPECT_EQ(class_of("Conv1D(1, 3, input_shape=(None, 1))"), LayerClass::kOneFilter);
  EXPECT_EQ(class_of("Conv1D(64, 3, groups=4, input_shape=(None, 64))"), LayerClass::kGrouped);
  EXPECT_EQ(class_of("Conv1D(64, 3, groups=64, input_shape=(None, 64))"), LayerClass::kDepthwise);
  EXPECT_EQ(class_of("Conv1D(128, 3, groups=64, input_shape=(None, 64))"), LayerClass::kDepthwise);
  EXPECT_EQ(class_of("DepthwiseConv1D(3, input_shape=(None, 64))"), LayerClass::kDepthwise);
  EXPECT_EQ(class_of("Conv1DTranspose(1, 3, input_shape=(None, 64))"), LayerClass::kTransposed);
  EXPECT_EQ(class_of("Conv1D(64, 3, input_shape=(None, 64))", 6), LayerClass::kOneStep);
  EXPECT_EQ(class_of("Conv1D(64, 3, input_shape=(None, 64))", 7), LayerClass::kDense);
}

TEST(Shapes, EveryClassHasLayersAndANameOfItsOwn) {
  std::set<LayerClass> classes;
  for (const Shape1d& shape : read_shapes()) classes.insert(layer_class(shape));
  std::set<std::string> names;
  for (int i = 0; i < kLayerClasses; ++i) {
    EXPECT_TRUE(classes.contains(static_cast<LayerClass>(i))) << class_name(static_cast<LayerClass>(i));
    names.insert(class_name(static_cast<LayerClass>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kLayerClasses));
}

TEST(Shapes, RowsAreNamedOnce) {
  const std::vector<Shape1d> shapes = read_shapes();
  std::set<std::string> names;
  for (const Shape1d& shape : shapes) names.insert(shape.name);
  EXPECT_GT(shapes.size(), 50U);
  EXPECT_EQ(names.size(), shapes.size());
}

}  // namespace
}  // namespace convsmith::bench

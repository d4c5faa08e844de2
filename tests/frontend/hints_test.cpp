// Errors that know what was meant: names that are nearly right, and those of PyTorch and Keras 1.
#include <gtest/gtest.h>

#include "frontend/keras/nearest.hpp"
#include "frontend/keras/parse_layer.hpp"

namespace convsmith {
namespace {

// What stands behind the first sentence.
std::string hint(std::string_view text, Rules rules = Rules::kCommon) {
  const Result<ParsedLayer> layer = parse_layer(text, rules);
  if (layer) return "no error";
  const std::string& message = layer.error().message;
  const std::size_t stop = message.find(". ");
  return stop == std::string::npos ? "" : message.substr(stop + 2);
}

TEST(Hints, NearestWords) {
  constexpr std::string_view kWords[] = {"relu", "silu", "glu", "softmax", "hard_sigmoid"};
  using Words = std::vector<std::string_view>;
  EXPECT_EQ(nearest("ReLU", kWords), Words{"relu"});
  EXPECT_EQ(nearest("swiglu", kWords), (Words{"silu", "glu"}));
  EXPECT_EQ(nearest("sotfmax", kWords), Words{"softmax"});
  EXPECT_EQ(nearest("HardSigmoid", kWords), Words{"hard_sigmoid"});
  EXPECT_EQ(nearest("nonsense", kWords), Words{});
  EXPECT_EQ(nearest("", kWords), Words{});
  EXPECT_EQ(nearest(std::string(100000, 'r'), kWords), Words{});
}

TEST(Hints, LayersOfPyTorch) {
  EXPECT_EQ(hint("torch.nn.Conv1d(6, 16, 5)"),
            "PyTorch's Conv1d is called Conv1D here, and its layer is written Conv1D(16, 5, "
            "data_format='channels_first', input_shape=(6, None)).");
  EXPECT_EQ(
      hint("nn.Conv1d(in_channels=6, out_channels=16, kernel_size=(5,), stride=2, padding=2, bias=False)"),
      "PyTorch's Conv1d is called Conv1D here, and its layer is written Conv1D(16, (5,), padding=(2, 2), "
      "strides=2, use_bias=False, data_format='channels_first', input_shape=(6, None)) with --rules any.");
  EXPECT_EQ(hint("nn.Conv1d(8, 8, 3, 1, 'same', 2, 8)"),
            "PyTorch's Conv1d is called Conv1D here, and its layer is written Conv1D(8, 3, padding='same', "
            "dilation_rate=2, groups=8, data_format='channels_first', input_shape=(8, None)).");
  EXPECT_EQ(hint("nn.Linear(64, 10, bias=False)"),
            "PyTorch's Linear is called Dense here, and its layer is written "
            "Dense(10, use_bias=False, input_shape=(64,)).");
  // What has no counterpart is not left out in silence.
  EXPECT_EQ(hint("nn.Conv1d(6, 16, 5, padding=2, padding_mode='circular')"),
            "PyTorch's Conv1d is called Conv1D here. `padding_mode='circular'` has no counterpart: pad the "
            "input before the layer.");
  EXPECT_EQ(hint("nn.ConvTranspose1d(6, 16, 4, 2, 1, output_padding=1)"),
            "PyTorch's ConvTranspose1d is called Conv1DTranspose here, and its layer is written "
            "Conv1DTranspose(16, 4, padding=(1, 1), strides=2, output_padding=1, "
            "data_format='channels_first', input_shape=(6, None)) with --rules any.");
  EXPECT_EQ(hint("nn.Conv2d(3, 8, 3)"),
            "PyTorch's Conv2d works on 2 axes beside the channels; layers here on one.");
  EXPECT_EQ(hint("torch.nn.BatchNorm3d(8)"),
            "PyTorch's BatchNorm3d works on 3 axes beside the channels; layers here on one.");
  EXPECT_EQ(hint("nn.Linear(64, 10)"),
            "PyTorch's Linear is called Dense here, and its layer is written Dense(10, input_shape=(64,)).");
  EXPECT_EQ(hint("Conv1d(32, 3)"), "PyTorch's Conv1d is called Conv1D here.");
  EXPECT_EQ(hint("nn.BatchNorm1d(16)"), "PyTorch's BatchNorm1d is called BatchNormalization here.");
  EXPECT_EQ(hint("nn.ReLU6()"), "PyTorch's ReLU6 is called Activation('relu6') here.");
  // What is advised can be read.
  EXPECT_TRUE(
      parse_layer("Conv1D(16, (5,), padding=(2, 2), strides=2, use_bias=False, "
                  "data_format='channels_first', input_shape=(6, None))",
                  Rules::kAny));
}

TEST(Hints, LayersOfKeras) {
  EXPECT_EQ(hint("conv1d(32, 3)"), "Did you mean 'Conv1D'?");
  EXPECT_EQ(hint("Conv1DTransposed(32, 3)"),
            "Did you mean 'Conv1DTranspose', 'Conv2DTranspose' or 'Conv3DTranspose'?");
  EXPECT_EQ(hint("SeperableConv1D(32, 3)"), "Did you mean 'SeparableConv1D', 'SeparableConv2D' or 'Conv1D'?");
}

TEST(Hints, Arguments) {
  EXPECT_EQ(hint("Conv1D(32, 3, stride=2)"), "`stride` is called `strides` here.");
  EXPECT_EQ(hint("Conv1D(nb_filter=4, kernel_size=3)"), "`nb_filter` is called `filters` here.");
  EXPECT_EQ(hint("Dense(4, stride=2)"), "");
  EXPECT_EQ(hint("Conv1D(32, 3, dilation_rat=2)"), "Did you mean 'dilation_rate'?");
  EXPECT_EQ(
      hint("Conv1D(32, 3, in_channels=4)"),
      "`in_channels` of PyTorch is the size of the input's last axis here, as in input_shape=(None, 128).");
}

TEST(Hints, WordsOfArguments) {
  EXPECT_EQ(hint("Conv1D(32, 3, padding=2)"),
            "PyTorch's padding=2 is padding=(2, 2) with --rules any (Rules::kAny).");
  EXPECT_EQ(hint("Conv1D(32, 3, padding='casual')"), "Did you mean 'causal'?");
  EXPECT_EQ(hint("Conv1D(32, 3, activation='swiglu')"), "Did you mean 'silu' or 'glu'?");
  EXPECT_EQ(hint("Conv1D(32, 3, kernel_initializer='glorot')"),
            "Did you mean 'glorot_normal' or 'glorot_uniform'?");
  EXPECT_EQ(hint("Conv1D(32, 3, kernel_initializer='kaiming_normal')"),
            "Kaiming's are 'he_uniform' and 'he_normal' here.");
}

}  // namespace
}  // namespace convsmith

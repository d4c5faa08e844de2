// Sound files of every width of samples, as their bytes say.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cli/io/tensor.hpp"

namespace convsmith::cli {
namespace {

std::string little(uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(number >> (8 * i)));
  return text;
}

// Two channels at 8000 Hz; `code` is 1 for integers, 3 for floats.
Result<Signal> read(int code, int bytes, const std::vector<uint64_t>& samples) {
  std::string data;
  for (const uint64_t sample : samples) data += little(sample, bytes);
  const auto width = static_cast<uint64_t>(bytes);
  const std::string file = "RIFF" + little(36 + data.size(), 4) + "WAVEfmt " + little(16, 4) +
                           little(static_cast<uint64_t>(code), 2) + little(2, 2) + little(8000, 4) +
                           little(16000 * width, 4) + little(2 * width, 2) + little(8 * width, 2) + "data" +
                           little(data.size(), 4) + data;
  const auto source = open_memory("x.wav", {reinterpret_cast<const std::byte*>(file.data()),
                                            reinterpret_cast<const std::byte*>(file.data()) + file.size()});
  return read_wav(*source);
}

TEST(WavWidths, IntegersAreScaledToOne) {
  struct Case {
    int bytes;
    std::vector<uint64_t> samples;
    double scale;
  };
  for (const auto& [bytes, samples, scale] :
       {Case{2, {1, 0x8000, 0x7fff, 0}, 0x1p15}, Case{3, {1, 0x800000, 0x7fffff, 0}, 0x1p23}}) {
    const auto signal = read(1, bytes, samples);
    ASSERT_TRUE(signal) << signal.error().message;
    EXPECT_EQ(signal->tensor.shape, (std::vector<int64_t>{2, 2}));
    EXPECT_EQ(signal->tensor.data, (std::vector<float>{static_cast<float>(1 / scale), -1.0F,
                                                       static_cast<float>((scale - 1) / scale), 0.0F}));
    EXPECT_EQ(signal->sample_rate, 8000);
    EXPECT_TRUE(signal->notes.empty());
  }
}

TEST(WavWidths, FinerSamplesAreRoundedWithANote) {
  const auto integers = read(1, 4, {0x80000000, 0x02000002, 0x7fffffff, 7});
  ASSERT_TRUE(integers);
  EXPECT_EQ(integers->tensor.data, (std::vector<float>{-1.0F, 0x1p-6F, 1.0F, 7 * 0x1p-31F}));
  ASSERT_EQ(integers->notes.size(), 1U);
  EXPECT_EQ(integers->notes[0], "x.wav holds finer samples, and 2 of its 4 numbers were rounded to float32.");
  const auto doubles =
      read(3, 8, {0x3ff8000000000000, 0xbfe0000000000000, 0x3fb999999999999a, 0x7e37e43c8800759c});
  ASSERT_TRUE(doubles);
  EXPECT_EQ(doubles->tensor.data,
            (std::vector<float>{1.5F, -0.5F, 0.1F, std::numeric_limits<float>::infinity()}));
  EXPECT_THAT(doubles->notes[0],
              ::testing::HasSubstr("2 of its 4 numbers were rounded to float32, 1 of them to infinity"));
}

}  // namespace
}  // namespace convsmith::cli

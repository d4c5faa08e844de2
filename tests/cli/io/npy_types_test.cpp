// Every type of number that NumPy saves. Bytes and values are NumPy's.
#include "cli/io/npy_types.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "cli/io/tensor.hpp"
#include "tests/cli/temporary_folder.hpp"

namespace convsmith::cli {
namespace {

using cli_test::TemporaryFolder;
using ::testing::HasSubstr;

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& bytes,
                const std::string& order = "False") {
  const std::string header =
      fmt::format("{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}\n", descr, order, shape);
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + bytes;
}

// Numbers and notes, or the sentence.
std::string read(const std::string& file) {
  std::vector<std::byte> bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  auto reader = NpyReader::open(open_memory("x.npy", std::move(bytes)));
  if (!reader) return reader.error().message;
  const auto signal = reader->read();
  if (!signal) return signal.error().message;
  std::string text;
  for (const float value : signal->tensor.data)
    text += fmt::format("{}{:.9g}", text.empty() ? "" : " ", value);
  for (const std::string& note : signal->notes) text += " | " + note;
  return text;
}

TEST(NpyTypes, EveryTypeInBothByteOrders) {
  struct Case {
    const char* descr;
    const char* bytes;
    const char* values;
  };
  // array.tobytes().hex() of what stands behind.
  const Case cases[] = {
      {"'<f8'", "000000000000f83f000000000000f07f000000000000e0bf", "1.5 inf -0.5"},
      {"'>f8'", "3ff80000000000007ff0000000000000bfe0000000000000", "1.5 inf -0.5"},
      {"'>f4'", "3fc000007f800000bf000000", "1.5 inf -0.5"},
      {"'<f2'", "003e007c00b8010000847bfb", "1.5 inf -0.5 5.96046448e-08 -6.10351562e-05 -61280"},
      {"'>f2'", "3e007c00b80000018400fb7b", "1.5 inf -0.5 5.96046448e-08 -6.10351562e-05 -61280"},
      {"'|i1'", "7f80ff", "127 -128 -1"},
      {"'|u1'", "7f80ff", "127 128 255"},
      {"'<i2'", "ff7f0080ffff", "32767 -32768 -1"},
      {"'>i2'", "7fff8000ffff", "32767 -32768 -1"},
      {"'<u2'", "ff7f0080ffff", "32767 32768 65535"},
      {"'<i4'", "00000001ffffffff00000080", "16777216 -1 -2.14748365e+09"},
      {"'>u4'", "0100000080000000000000ff", "16777216 2.14748365e+09 255"},
      {"'<i8'", "0700000000000000f9ffffffffffffff0000000000000080", "7 -7 -9.22337204e+18"},
      {"'>i8'", "0000000000000007fffffffffffffff98000000000000000", "7 -7 -9.22337204e+18"},
      {"'<u8'", "07000000000000000000000000000080000000000000f07f", "7 9.22337204e+18 9.21886844e+18"},
      {"'|b1'", "000102", "0 1 1"},
      {"'=f4'", "0000c03f0000807f000000bf", "1.5 inf -0.5"},
      // Of x86: ten bytes and six of anything.
      {"'<f16'", "00000000000000c0ff3f5787917f0000000000000000008000c05787917f0000", "1.5 -2"},
      {"'>f16'", "00007f9187573fffc00000000000000000007f918757c0008000000000000000", "1.5 -2"},
      {"'>f16'", "0000000000007fff80000000000000000000000000003f738000000000000000", "inf 7.17464814e-43"},
  };
  for (const Case& test : cases) {
    const std::string bytes = unhex(test.bytes);
    const std::string values = test.values;
    const auto count = static_cast<size_t>(std::count(values.begin(), values.end(), ' ')) + 1;
    EXPECT_EQ(read(npy(test.descr, fmt::format("({},)", count), bytes)), values) << test.descr;
    EXPECT_THAT(read(npy(test.descr, fmt::format("({},)", count + 1), bytes)), HasSubstr("does not fit"));
  }
}

TEST(NpyTypes, EveryHalfIsTheNumberThatItsBitsSay) {
  std::string bytes;
  for (int bits = 0; bits < 0x7c00; ++bits)
    bytes += {static_cast<char>(bits & 0xff), static_cast<char>(bits >> 8)};
  std::vector<float> values(0x7c00);
  Rounding rounding;
  to_floats({'f', 2, false}, std::as_bytes(std::span(bytes)), values, rounding);
  EXPECT_EQ(rounding.changed, 0U);
  EXPECT_EQ(values[0x3555], 0.333251953125F);
  EXPECT_EQ(values[0x7bff], 65504.0F);
  EXPECT_EQ(values[1], 0x1p-24F);
  for (size_t i = 1; i < values.size(); ++i) ASSERT_LT(values[i - 1], values[i]);
}

TEST(NpyTypes, WhatChangesIsSaid) {
  EXPECT_EQ(read(npy("'<f8'", "(2,)", unhex("9a9999999999b93f000000000000f83f"))),
            "0.100000001 1.5 | x.npy holds float64, and 1 of its 2 numbers was rounded to float32.");
  EXPECT_EQ(
      read(npy("'<i4'", "(3,)", unhex("010000010200000103000001"))),
      "16777216 16777218 16777220 | x.npy holds int32, and 2 of its 3 numbers were rounded to float32.");
  EXPECT_EQ(read(npy("'>u8'", "(1,)", unhex("ffffffffffffffff"))),
            "1.84467441e+19 | x.npy holds uint64, and 1 of its 1 numbers was rounded to float32.");
  EXPECT_EQ(
      read(npy("'<f8'", "(1,)", unhex("9c7500883ce4377e"))),
      "inf | x.npy holds float64, and 1 of its 1 numbers was rounded to float32, 1 of them to infinity.");
  EXPECT_EQ(read(npy("'<f8'", "(1,)", unhex("000000000000f87f"))), "nan");
}

TEST(NpyTypes, FortranOrderOfNarrowNumbers) {
  EXPECT_EQ(read(npy("'|u1'", "(2, 3)", unhex("000301040205"), "True")), "0 1 2 3 4 5");
  EXPECT_EQ(read(npy("'>i2'", "(2, 2)", unhex("0001000300020004"), "True")), "1 2 3 4");
}

TEST(NpyTypes, SizesOfPython2) {
  EXPECT_EQ(read(npy("'|u1'", "(2L, 1L)", unhex("0001"))), "0 1");
}

TEST(NpyTypes, OthersAreRefusedWithTheWayOut) {
  const std::pair<const char*, const char*> cases[] = {
      {"'<c8'", "array.real"},
      {"'>c16'", "complex numbers"},
      {"'|O'", "Python objects"},
      {"'|S3'", "text"},
      {"'<U7'", "text"},
      {"'<M8[ns]'", "points in time"},
      {"'<m8[s]'", "spans of time"},
      {"'<V2'", "bfloat16"},
      {"[('a', '<f4')]", "array['NAME']"},
      {"'<f3'", "array.astype('<f4')"},
      {"'<i16'", "array.astype('<f4')"},
      {"''", "array.astype('<f4')"},
      {"'<'", "array.astype('<f4')"},
      {"'<b2'", "array.astype('<f4')"},
      {"8", "array.astype('<f4')"},
      {"'<f99999999999999999999'", "array.astype('<f4')"},
      {"'f'", "array.astype('<f4')"},
      {"'|g16'", "array.astype('<f4')"},
  };
  for (const auto& [descr, way] : cases) {
    const std::string message = read(npy(descr, "(1,)", "1234"));
    EXPECT_THAT(message, HasSubstr("x.npy: its dtype is ")) << descr;
    EXPECT_THAT(message, HasSubstr(way)) << descr;
  }
}

TEST(NpyTypes, LyingShapesAllocateNothing) {
  for (const char* descr : {"'<f8'", "'|u1'", "'<f2'", "'|b1'"})
    for (const char* shape :
         {"(9223372036854775807,)", "(4611686018427387904, 2)", "(2305843009213693952, 8)",
          "(3037000500, 3037000500)", "(1, 9223372036854775807, 1)"})
      EXPECT_THAT(read(npy(descr, shape, "12345678")), HasSubstr("does not fit the 8 bytes"))
          << descr << shape;
}

TEST(NpyTypes, WeightsAreConvertedToo) {
  const TemporaryFolder folder;
  folder.write("kernel.npy", npy("'<f8'", "(1, 1, 2)", unhex("000000000000f83f000000000000e0bf")));
  folder.write("bias.npy", npy("'|i1'", "(2,)", unhex("07f9")));
  const auto weights = read_weights(folder / "", {{"kernel", {1, 1, 2}}, {"bias", {2}}});
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ((*weights)[0].data, (std::vector<float>{1.5F, -0.5F}));
  EXPECT_EQ((*weights)[1].data, (std::vector<float>{7, -7}));
}

}  // namespace
}  // namespace convsmith::cli

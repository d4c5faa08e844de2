// Tables of numbers in the dialects that programs write. The values are those of pandas.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "cli/io/csv_rows.hpp"
#include "cli/io/tensor.hpp"

namespace convsmith::cli {
namespace {

using ::testing::HasSubstr;

std::string tensor_text(const Tensor& tensor) {
  std::string text = shape_text(tensor.shape);
  for (const float value : tensor.data) text += fmt::format(" {}", value);
  return text;
}

// Shape and numbers, or the sentence.
std::string read(std::string_view text, const std::vector<std::string>& columns = {}) {
  const auto signal = parse_csv(text, "x.csv", columns);
  return signal ? tensor_text(signal->tensor) : signal.error().message;
}

std::string notes_of(std::string_view text, const std::vector<std::string>& columns = {}) {
  const auto signal = parse_csv(text, "x.csv", columns);
  std::string all;
  for (size_t i = 0; signal && i < signal->notes.size(); ++i) all += signal->notes[i] + "\n";
  return signal ? all : signal.error().message;
}

TEST(Csv, ReadsNumbersAsTheyAreWritten) {
  const auto signal =
      parse_csv("\xef\xbb\xbfleft,right\r\n1, -2.5e0\r\n+3,nan\r\n-inf,1e-60\r\n\r\n", "x.csv");
  ASSERT_TRUE(signal) << signal.error().message;
  EXPECT_EQ(signal->tensor.shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(signal->notes.size(), 1U);
  const std::vector<float>& data = signal->tensor.data;
  EXPECT_EQ(data[0], 1.0F);
  EXPECT_EQ(data[1], -2.5F);
  EXPECT_TRUE(std::isnan(data[3]));
  EXPECT_EQ(data[4], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(data[5], 0.0F);
}

TEST(Csv, ErrorsNameTheLine) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "no row of numbers"},
      {"a,b\n", "no row of numbers"},
      {"1,2\n3,4,5\n", "line 2 has 3 columns; it must have 2"},
      {"1,2\nx,4\n", "line 2, column 1 is 'x'"},
      {"1,x\n", "line 1, column 2 is 'x'"},
      {"1.0.0\n", "line 1, column 1"},
      {"1e50\n", "beyond the largest float32"},
      {"-1e999\n", "beyond the largest float32"},
      {"0x10\n", "line 1"},
      {std::string("1\0002\n", 4), "line 1"},
      {"1 2\n3 4\n", "line 1, column 1 is '1 2'"},
      {"+-1\n", "line 1, column 1 is '+-1'"},
      {"1.5D3\n", "line 1, column 1 is '1.5D3'"},
      {"1,\"2,5\"\n", "decimal commas are read where semicolons separate"},
      {"a\tb\n1\t2,5\n", "decimal commas are read where semicolons separate"},
      {"a;b\n1;1.234,5\n", "line 2, column 2 is '1.234,5'"},
      {"a,b\nx,y\nz,1\n", "line 3, column 1 is 'z'"},
      {"a,b\n1,2\nV,mV\n", "line 3, column 1 is 'V'"},
      {"a,b\n1,\"2\n3,4\n", "line 2 opens a quote"},
      {"\"a,b\n1,2\n", "line 1 opens a quote"},
      {"'a','b'\r\n1,2\r\n\r\n3,x\r\n", "line 4, column 2 is 'x'"},
      {"\"a\n(mV)\",b\n1,2\n3,x\n", "line 4, column 2 is 'x'"},
      {"# one\n# two\n1,2\n3,x\n", "line 4, column 2 is 'x'"},
      {"\xff\xfe"
       "1\n",
       "UTF-16"},
  };
  for (const auto& [text, message] : cases) {
    const auto signal = parse_csv(text, "x.csv");
    ASSERT_FALSE(signal) << text;
    EXPECT_THAT(signal.error().message, HasSubstr(message));
    EXPECT_THAT(signal.error().message, HasSubstr("x.csv"));
  }
}

TEST(Csv, PicksColumnsByNameAndNumber) {
  const std::string text = "when,left,right\nnoon,1,2\nnight,3,4\n";
  const auto pick = [&](const std::vector<std::string>& columns) {
    const auto signal = parse_csv(text, "x.csv", columns);
    return signal ? signal->tensor : Tensor{};
  };
  EXPECT_EQ(pick({"right"}), (Tensor{{2, 1}, {2, 4}}));
  EXPECT_EQ(pick({"2"}), (Tensor{{2, 1}, {1, 3}}));
  EXPECT_EQ(pick({"right", "left"}), (Tensor{{2, 2}, {2, 1, 4, 3}}));
  EXPECT_THAT(parse_csv(text, "x.csv", {}).error().message, HasSubstr("'noon'"));
  EXPECT_THAT(parse_csv(text, "x.csv", {"when"}).error().message, HasSubstr("'noon'"));
  EXPECT_THAT(parse_csv(text, "x.csv", {"middle"}).error().message, HasSubstr("when, left, right"));
  for (const char* number : {"0", "4", "99999999999999999999", ""})
    EXPECT_FALSE(parse_csv(text, "x.csv", {number})) << number;
  EXPECT_THAT(parse_csv("1,2\n3,4\n", "x.csv", {"left"}).error().message, HasSubstr("from 1 to 2"));
}

TEST(Csv, AnIndexIsLeftOut) {
  const std::string pandas = ",mv\n0,1\n1,2\n2,3\n";
  EXPECT_EQ(read(pandas, {"mv"}), "(3, 1) 1 2 3");
  EXPECT_EQ(read(pandas, {"2"}), "(3, 1) 1 2 3");
  EXPECT_EQ(read(pandas, {"1"}), "(3, 1) 0 1 2");
  EXPECT_EQ(read(pandas, {"Unnamed: 0", "mv"}), "(3, 2) 0 1 1 2 2 3");
  EXPECT_EQ(read(pandas), "(3, 1) 1 2 3");
  EXPECT_THAT(notes_of(pandas), HasSubstr("Column 1 of x.csv has no name"));
  // Written and read once more by pandas.
  EXPECT_EQ(read("Unnamed: 0,left,right\n0,1,2\n1,3,4\n"), "(2, 2) 1 2 3 4");
  // Dates as the index, and names that are numbers.
  EXPECT_EQ(read(",0,1\n2020-01-01,1.5,2\n2020-01-02,3,4\n"), "(2, 2) 1.5 2 3 4");
  EXPECT_EQ(read("\"\",\"a\"\n\"r1\",5\n\"r2\",6\n", {"a"}), "(2, 1) 5 6");
  // R leaves the name of the index out.
  EXPECT_EQ(read("\"left\" \"right\"\n", {}).substr(0, 5), "x.csv");
  EXPECT_EQ(read("\"left\",\"right\"\n\"1\",10,20\n\"2\",30,40\n"), "(2, 2) 10 20 30 40");
  EXPECT_EQ(read("left,right\na,10,20\nb,30,40\n", {"right"}), "(2, 1) 20 40");
}

TEST(Csv, QuotesBelongToNoName) {
  EXPECT_EQ(read("\"mv\"\n\"1\"\n\"2\"\n", {"mv"}), "(2, 1) 1 2");
  EXPECT_EQ(read("'t','mv'\n0,1\n1,2\n", {"mv"}), "(2, 1) 1 2");
  EXPECT_EQ(read("\"mV, lead \"\"II\"\"\",b\n1,2\n", {"mV, lead \"II\""}), "(1, 1) 1");
  EXPECT_EQ(read("t, \"mv\" , 'b'\n0, \"1.5\" , '2'\n", {"b", "mv"}), "(1, 2) 2 1.5");
  EXPECT_EQ(read("it's,that\n1,2\n", {"it's"}), "(1, 1) 1");
  EXPECT_EQ(read("\"two\nlines\",b\n1,2\n", {"two\nlines"}), "(1, 1) 1");
  EXPECT_EQ(read("\"0\",\"1\"\n5,6\n"), "(1, 2) 5 6") << "quoted where the numbers are not: names";
  EXPECT_EQ(read("\xce\xbc"
                 "V,b\n1,2\n",
                 {"\xce\xbc"
                  "V"}),
            "(1, 1) 1");
  EXPECT_EQ(read("mv,mv\n1,2\n", {"mv.1", "mv"}), "(1, 2) 2 1");
}

TEST(Csv, ALineOfUnitsIsSkipped) {
  const std::string physionet =
      "'Elapsed time','MLII','V5'\n'seconds','mV','mV'\n0.000,-0.145,-0.065\n0.003,-0.145,-0.06\n";
  EXPECT_EQ(read(physionet, {"MLII"}), "(2, 1) -0.145 -0.145");
  EXPECT_EQ(read(physionet), "(2, 3) 0 -0.145 -0.065 0.003 -0.145 -0.06");
  EXPECT_THAT(notes_of(physionet, {"V5"}), HasSubstr("Line 2 of x.csv holds units"));
  EXPECT_EQ(read("t;u\ns;V\n0,5;1,25\n", {"u"}), "(1, 1) 1.25");
  EXPECT_EQ(read("time,mv\n(s),\n0,3\n", {"time"}), "(1, 1) 0");
  EXPECT_EQ(read("when,mv\nnoon,1\nnight,2\n", {"mv"}), "(2, 1) 1 2") << "text beside numbers is no unit";
  EXPECT_EQ(read("t,a,p\ns,m/s^2,cmH2O\n0,1,2\n", {"a", "p"}), "(1, 2) 1 2");
  EXPECT_EQ(read("t,what,mv\ns,n/a,(mV)\n0,x,2\n", {"mv"}), "(1, 1) 2");
  EXPECT_EQ(read("t,mv\n-,%\n0,1\n", {"mv"}), "(1, 1) 1");
}

// A number that is written wrong is no unit, whatever stands beside and below it.
TEST(Csv, ABadFirstNumberIsNotSkipped) {
  for (const char* number : {"0.0.1", "1_000", "\"1,234\"", "\"1.234,5\"", "5%", "(5)", "1/2", "0x10", "1d3",
                             "+-1", "--1", "1 000", "$5", "~1.5", "1.5 mV", "2020-01-01"}) {
    EXPECT_THAT(read(fmt::format("t,mv\n0,{}\n1,2\n", number), {"mv"}), HasSubstr("line 2, column 2 is '"))
        << number;
    EXPECT_THAT(read(fmt::format("mv,t\n{},x\n1,2\n", number), {"mv"}), HasSubstr("line 2, column 1 is '"))
        << number;
    EXPECT_THAT(read(fmt::format("mv\n{}\n1\n2\n", number)), HasSubstr("line 2, column 1 is '")) << number;
  }
  for (const char* beside : {"0", "1e5", "2020-01-01", "12:30", "nan"})
    EXPECT_THAT(read(fmt::format("t,mv\n{},bad\n1,2\n", beside), {"mv"}), HasSubstr("column 2 is 'bad'"))
        << beside;
  EXPECT_THAT(read("t;mv\n1;1.234,5\n2;2\n", {"mv"}), HasSubstr("line 2, column 2 is '1.234,5'"));
}

// As pandas reads them.
TEST(Csv, BlanksWithinQuotes) {
  EXPECT_EQ(read("t,mv\n3,\" 4\"\n\"2 \",\"\t5\"\n"), "(2, 2) 3 4 2 5");
  EXPECT_EQ(read("\" 1\",\" 2 \"\n"), "(1, 2) 1 2");
  EXPECT_EQ(read("mv\n' -1.5e3 '\n\"7\n\"\n"), "(2, 1) -1500 7");
  EXPECT_EQ(read("t;mv\n\" 0,5\";\"1,25 \"\n"), "(1, 2) 0.5 1.25");
  EXPECT_EQ(read("\" mv\",b\n1,2\n", {" mv"}), "(1, 1) 1") << "they belong to names";
  EXPECT_THAT(read("a\n1\n\"1 2\"\n"), HasSubstr("line 3, column 1 is '1 2'"));
  EXPECT_THAT(read("a\n1\n\" 1e39\"\n"), HasSubstr("beyond the largest float32"));
}

TEST(Csv, TheFirstLineTellsTheSeparator) {
  EXPECT_EQ(read("a;b\n1;2\n3;4\n"), "(2, 2) 1 2 3 4");
  EXPECT_EQ(read("a\tb\n1\t2\n3\t4\n", {"b"}), "(2, 1) 2 4");
  EXPECT_EQ(read("1;2\n3;4\n"), "(2, 2) 1 2 3 4");
  EXPECT_EQ(read("t;mv\n0,5;-1,25e1\n1;+2,5\n"), "(2, 2) 0.5 -12.5 1 2.5");
  EXPECT_EQ(read("0,5;1,5\n"), "(1, 2) 0.5 1.5");
  EXPECT_EQ(read("\"time (s; rel)\",mv\n1,2\n"), "(1, 2) 1 2");
  EXPECT_EQ(read("time (s; rel),mv\n1,2\n"), "(1, 2) 1 2") << "the second line has no semicolon";
  EXPECT_EQ(read("\"a;b\"\tc\n1\t2\n", {"a;b"}), "(1, 1) 1");
}

TEST(Csv, DecimalCommasAndPointsDoNotMix) {
  for (const char* text :
       {"a;b\n1.5;1,5\n", "a;b\n1,5;2\n2;1.5\n", "1,5;2\n3.25;4\n", "a;b\n-1,5e3;1\n.5;2\n"})
    EXPECT_THAT(read(text), HasSubstr("decimals must have commas or points, not both")) << text;
  EXPECT_THAT(read("a;b\n1.5;7\n2;1,25\n"),
              HasSubstr("x.csv: line 3, column 2 is '1,25', and line 2, column 1 is '1.5'; decimals"));
  EXPECT_EQ(read("a;b;c\n1,5;x.y;2\n", {"a", "c"}), "(1, 2) 1.5 2") << "of columns that are taken";
  EXPECT_EQ(read("a;b\n1.5;n/a\n"), "(1, 2) 1.5 nan");
  EXPECT_EQ(read("a,b\n1.5,2.5\n"), "(1, 2) 1.5 2.5");
}

// As pandas.read_csv(..).to_numpy(float32) has them.
TEST(Csv, TruthValuesAreNumbers) {
  EXPECT_EQ(read("a,b\nTrue,1\nFalse,2\n"), "(2, 2) 1 1 0 2");
  EXPECT_EQ(read("a,b\ntrue,FALSE\n"), "(1, 2) 1 0");
  EXPECT_EQ(read("a\nTRUE\n\nfalse\nNA\n"), "(3, 1) 1 0 nan");
  EXPECT_EQ(read("true,pred\n1,2\n", {"true"}), "(1, 1) 1") << "a name over numbers";
  EXPECT_EQ(read("1.5,True\n2.5,False\n"), "(2, 2) 1.5 1 2.5 0") << "no names";
  EXPECT_EQ(read("a\nTrue\n3\n"), "(2, 1) 1 3") << "no line of units";
  for (const char* word : {"tRUE", "yes", "T", "Truee"})
    EXPECT_THAT(read(fmt::format("a\n1\n{}\n", word)), HasSubstr("it must be a float32 number")) << word;
}

TEST(Csv, NumbersBeyondFloat32) {
  for (const char* number : {"1e39", "-3.5e38", "+1e400", "1e99999", "1E+39"})
    for (const char* table : {"a\n1\n{}\n", "1\n2\n{}\n"})
      EXPECT_THAT(read(fmt::format(fmt::runtime(table), number)),
                  HasSubstr(fmt::format("line 3, column 1 is '{}', beyond the largest float32, 3.4028235e+38",
                                        number)));
  EXPECT_THAT(read("1e39\n2\n"), HasSubstr("line 1, column 1 is '1e39', beyond")) << "no name";
  EXPECT_THAT(read("a;b\n1;3,5e38\n"), HasSubstr("is '3,5e38', beyond"));
  EXPECT_EQ(read("a\n1e-60\n-1e-400\n1e-99999\n1e-45\n3.4028235e38\n-inf\n"),
            "(6, 1) 0 -0 0 1e-45 3.4028235e+38 -inf");
}

TEST(Csv, WhatProgramsLeaveAround) {
  EXPECT_EQ(read("a,b,\n1,2,\n3,4,\n"), "(2, 2) 1 2 3 4") << "separators at the ends of lines";
  EXPECT_EQ(read("a,b\n1,2,\n3,4,\n"), "(2, 2) 1 2 3 4");
  EXPECT_EQ(read("1,2,\n3,4,\n"), "(2, 2) 1 2 3 4");
  EXPECT_EQ(read("a\n\n1\n \n2\n\n"), "(2, 1) 1 2") << "blank lines";
  EXPECT_EQ(read("a,b\r1,2\r3,4"), "(2, 2) 1 2 3 4") << "lines of old Macs";
  EXPECT_EQ(read("\xef\xbb\xbf\"a\",b\r\n1,2\r\n", {"a"}), "(1, 1) 1");
  EXPECT_EQ(read("# made by hand\n# t,mv\n0,1\n1,2\n", {"mv"}), "(2, 1) 1 2") << "numpy.savetxt";
  EXPECT_EQ(read("time,0,1\n7,8,9\n", {"2"}), "(1, 1) 8") << "one name makes a header";
  EXPECT_THAT(notes_of("0,1,2\n3,4,5\n"), HasSubstr("taken as numbers, not as names"));
  EXPECT_EQ(read("a,b\n1e5,2E-3\n.5,6.\n"), "(2, 2) 100000 0.002 0.5 6");
}

TEST(Csv, MissingNumbersAreNanAndSaid) {
  EXPECT_EQ(read("a,b\n1,\nNA,4\n"), "(2, 2) 1 nan nan 4");
  EXPECT_THAT(notes_of("a,b\n1,\nNA,4\n"),
              HasSubstr("2 numbers are missing, and NaN; the first is line 2, column 2"));
  EXPECT_EQ(read("a\n1\n\"\"\n"), "(2, 1) 1 nan");
  EXPECT_THAT(notes_of("a\n1\n\"\"\n"), HasSubstr("line 3, column 1 is missing"));
  for (const char* word : {"N/A", "null", "NULL", "None", "<NA>", "#N/A", "n/a", "nan", "NaN", "-nan"})
    EXPECT_THAT(read(fmt::format("a,b\n1,{}\n", word)), HasSubstr("(1, 2) 1 ")) << word;
  EXPECT_EQ(notes_of("a,b\n1,nan\n2,inf\n", {"a", "b"}), "") << "written as numbers";
  EXPECT_EQ(read("a,b\nInfinity,-inf\n"), "(1, 2) inf -inf");
  EXPECT_EQ(read("a,b\n1,2\n,\n"), "(2, 2) 1 2 nan nan");
  // Lines that end early.
  EXPECT_EQ(read("a,b\n1,2\n3\n"), "(2, 2) 1 2 3 nan");
  EXPECT_EQ(read("1,2,3\n4\n5,6\n"), "(3, 3) 1 2 3 4 nan nan 5 6 nan");
  EXPECT_THAT(notes_of("a,b\n1,2\n3\n"), HasSubstr("line 3, column 2 is missing"));
  EXPECT_EQ(notes_of("a,b\n1,2\n3\n", {"a"}), "");
  EXPECT_THAT(notes_of("a,b\n1,2,\n3,4,\n"), HasSubstr("Line 2 of x.csv ends with a separator"));
  EXPECT_EQ(notes_of("1,2,\n3,4,\n", {"1"}), "");
  // Of columns that are not taken nothing is asked.
  EXPECT_EQ(notes_of("a,b\n1,\n", {"a"}), "");
}

TEST(Csv, ManyColumnsTakeNoTime) {
  std::string text = "a";
  for (int i = 0; i < 100000; ++i) text += ",a";
  std::string numbers = "1";
  for (int i = 0; i < 100000; ++i) numbers += ",1";
  const auto signal = parse_csv(text + "\n" + numbers + "\n", "x.csv", {"a.99999"});
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->tensor.shape, (std::vector<int64_t>{1, 1}));
}

RC_GTEST_PROP(Csv, ReadsWhatItWrites, (const std::vector<uint32_t>& bits)) {
  RC_PRE(!bits.empty());
  Tensor tensor{{static_cast<int64_t>(bits.size()), 1}, {}};
  for (const uint32_t word : bits) tensor.data.push_back(std::bit_cast<float>(word));
  const auto back = parse_csv(csv_text(tensor), "x.csv");
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->tensor.shape == tensor.shape);
  for (size_t i = 0; i < bits.size(); ++i) {
    const float value = back->tensor.data[i];
    RC_ASSERT((std::isnan(value) ? std::isnan(tensor.data[i]) : std::bit_cast<uint32_t>(value) == bits[i]));
  }
}

}  // namespace
}  // namespace convsmith::cli

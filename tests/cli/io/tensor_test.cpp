// Files of arrays: what is written reads back, and whatever a hostile file says ends in one sentence.
#include "cli/io/tensor.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <zip.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "cli/run.hpp"
#include "tests/cli/temporary_folder.hpp"

namespace convsmith::cli {
namespace {

using cli_test::TemporaryFolder;
using ::testing::HasSubstr;

std::string bytes_of(const std::vector<float>& data) {
  std::string bytes(data.size() * sizeof(float), '\0');
  if (!data.empty()) std::memcpy(bytes.data(), data.data(), bytes.size());
  return bytes;
}

std::string npy_bytes(const Tensor& tensor) {
  return npy_header(tensor.shape) + bytes_of(tensor.data);
}

// A .npy file with any header.
std::string npy_with(const std::string& header, const std::string& data, char major = 1) {
  std::string file = std::string("\x93NUMPY") + major + '\0';
  const size_t length = header.size();
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) file.push_back(static_cast<char>(length >> (8 * i)));
  return file + header + data;
}

std::string dict(const std::string& shape, const std::string& descr = "'<f4'",
                 const std::string& order = "False") {
  return fmt::format("{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}\n", descr, order, shape);
}

Result<Tensor> parse_npy(const std::string& file) {
  std::vector<std::byte> bytes(file.size());
  if (!file.empty()) std::memcpy(bytes.data(), file.data(), file.size());
  auto reader = NpyReader::open(open_memory("x.npy", std::move(bytes)));
  if (!reader) return tl::unexpected(reader.error());
  Result<Signal> signal = reader->read();
  if (!signal) return tl::unexpected(signal.error());
  return std::move(signal->tensor);
}

std::string error_of(const std::string& file) {
  const Result<Tensor> tensor = parse_npy(file);
  return tensor ? "no error" : tensor.error().message;
}

Tensor counting(std::vector<int64_t> shape) {
  size_t floats = 1;
  for (const int64_t axis : shape) floats *= static_cast<size_t>(axis);
  Tensor tensor{std::move(shape), std::vector<float>(floats)};
  for (size_t i = 0; i < floats; ++i) tensor.data[i] = static_cast<float>(i) - 2.5F;
  return tensor;
}

// An archive of these members, compressed.
std::string npz_bytes(const TemporaryFolder& folder,
                      const std::vector<std::pair<std::string, std::string>>& members) {
  const std::string path = folder / "made.npz";
  int code = 0;
  zip_t* const zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  for (const auto& [name, bytes] : members) {
    zip_source_t* const source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
    zip_file_add(zip, name.c_str(), source, ZIP_FL_OVERWRITE);
  }
  EXPECT_EQ(zip_close(zip), 0);
  return TemporaryFolder::read(path);
}

const std::vector<WeightShape> kSmall = {{"kernel", {2, 2, 3}}, {"bias", {3}}};

std::string good_npz(const TemporaryFolder& folder) {
  return npz_bytes(folder,
                   {{"kernel.npy", npy_bytes(counting({2, 2, 3}))}, {"bias.npy", npy_bytes(counting({3}))}});
}

std::string weights_error(const std::string& path, const std::vector<WeightShape>& shapes = kSmall) {
  const Result<std::vector<Tensor>> weights = read_weights(path, shapes);
  return weights ? "no error" : weights.error().message;
}

RC_GTEST_PROP(Npy, ReadsWhatItWrites, ()) {
  const auto sizes = *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 5));
  RC_PRE(sizes.size() <= 6);
  const Tensor tensor = counting(sizes);
  const Result<Tensor> back = parse_npy(npy_bytes(tensor));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == tensor);
}

TEST(Npy, DataBeginsAtAMultipleOf64) {
  for (int64_t axis = 1; axis < int64_t{1} << 60; axis *= 3)
    EXPECT_EQ(npy_header({axis, axis}).size() % 64, 0U);
}

TEST(Npy, FortranOrder) {
  const Result<Tensor> tensor =
      parse_npy(npy_with(dict("(2, 3)", "'<f4'", "True"), bytes_of({0, 3, 1, 4, 2, 5})));
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->data, (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(Npy, AllVersionsAndKeyOrders) {
  for (const char major : {'\1', '\2', '\3'})
    EXPECT_TRUE(parse_npy(npy_with(dict("(1,)"), bytes_of({1}), major)));
  EXPECT_TRUE(
      parse_npy(npy_with(R"({"shape": (1, 1), "fortran_order": False, "descr": "<f4"})", bytes_of({1}))));
  EXPECT_TRUE(parse_npy(npy_with(dict("()"), bytes_of({1}))));
}

TEST(Npy, EveryTruncationIsAnError) {
  const std::string file = npy_bytes(counting({2, 3}));
  for (size_t size = 0; size < file.size(); ++size) EXPECT_FALSE(parse_npy(file.substr(0, size))) << size;
  EXPECT_FALSE(parse_npy(file + "x"));
}

TEST(Npy, HostileHeaders) {
  struct Case {
    std::string header;
    const char* message;
  };
  const Case cases[] = {
      {dict("(1,)", "'|O'"), "its dtype is '|O'"},
      {dict("(1,)", "'<f4'", "1"), "its fortran_order is 1"},
      {dict("(-1,)"), "its shape is (-1,)"},
      {dict("(1.0,)"), "its shape is"},
      {dict("1"), "its shape is 1"},
      {dict("[1]"), "its shape is [1]"},
      {dict("(True,)"), "its shape is"},
      {dict("(9223372036854775808,)"), "its shape is"},
      {dict("(9223372036854775807,)"), "does not fit the 4 bytes"},
      {dict("(4611686018427387905, 4)"), "does not fit the 4 bytes"},
      {dict("(4294967296, 4294967296)"), "does not fit the 4 bytes"},
      {dict("(1152921504606846977, 16)"), "does not fit the 4 bytes"},
      {dict("(0,)"), "does not fit the 4 bytes"},
      {dict("(2,)"), "does not fit the 4 bytes"},
      {"{'descr': '<f4', 'fortran_order': False}", "must have the keys"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "must have the keys"},
      {"", "no Python dictionary"},
      {std::string(300, '('), "no Python dictionary"},
      {std::string("\0\xff\xfe", 3), "no Python dictionary"},
      {"(1, 2)", "must have the keys"},
  };
  for (const Case& test : cases) {
    EXPECT_THAT(error_of(npy_with(test.header, "1234")), HasSubstr(test.message)) << test.header;
  }
  EXPECT_THAT(error_of("PK\3\4xxxxxxxxxxxxxxxx"), HasSubstr("no .npy file"));
  EXPECT_THAT(error_of(npy_with(dict("(1,)"), "1234", '\4')), HasSubstr("format version is 4.0"));
  EXPECT_THAT(error_of(npy_with(std::string(70000, ' '), "1234", '\2')), HasSubstr("header has 70000 bytes"));
}

// Whatever comes out is a tensor that fits its file.
RC_GTEST_PROP(Npy, DamagedFilesGiveErrorsOrSoundTensors, ()) {
  std::string file = npy_bytes(counting({2, 3, 2}));
  const int changes = *rc::gen::inRange(1, 6);
  for (int i = 0; i < changes; ++i) {
    const auto at = static_cast<size_t>(*rc::gen::inRange(0, static_cast<int>(file.size())));
    file[at] =
        *rc::gen::element('0', '9', '(', ')', ',', ' ', '\'', '-', '{', '}', '\0', '\x7f', '\xff', 'L', '8');
  }
  const Result<Tensor> tensor = parse_npy(file);
  if (!tensor) {
    RC_ASSERT(!tensor.error().message.empty());
    return;
  }
  size_t floats = 1;
  for (const int64_t axis : tensor->shape) floats *= static_cast<size_t>(axis);
  RC_ASSERT(tensor->data.size() == floats);
  RC_ASSERT(floats * sizeof(float) <= file.size());
}

TEST(Npz, WeightsFromArchiveAndFolder) {
  const TemporaryFolder folder;
  const std::string archive = folder.write("w.npz", good_npz(folder));
  folder.write("kernel.npy", npy_bytes(counting({2, 2, 3})));
  folder.write("bias.npy", npy_bytes(counting({3})));
  for (const std::string& path : {archive, folder / ""}) {
    const Result<std::vector<Tensor>> weights = read_weights(path, kSmall);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ((*weights)[0], counting({2, 2, 3}));
    EXPECT_EQ((*weights)[1], counting({3}));
  }
}

// Either generation's names, and numpy's own where none were given.
TEST(Npz, NamesOfVariables) {
  const TemporaryFolder folder;
  const std::string depthwise = npy_bytes(counting({3, 2, 1}));
  const std::string pointwise = npy_bytes(counting({1, 2, 4}));
  const auto names_of = [&](const std::vector<std::string>& names, const std::vector<WeightShape>& shapes) {
    std::vector<std::pair<std::string, std::string>> members = {{names[0] + ".npy", depthwise}};
    if (names.size() > 1) members.emplace_back(names[1] + ".npy", pointwise);
    const auto weights = read_weights(folder.write("t.npz", npz_bytes(folder, members)), shapes);
    return weights ? std::string("fits") : weights.error().message;
  };
  const std::vector<WeightShape> depthwise2 = {{"depthwise_kernel", {3, 2, 1}}};
  const std::vector<WeightShape> depthwise3 = {{"kernel", {3, 2, 1}}};
  const std::vector<WeightShape> separable = {{"depthwise_kernel", {3, 2, 1}},
                                              {"pointwise_kernel", {1, 2, 4}}};
  for (const char* name : {"depthwise_kernel", "kernel", "arr_0"}) {
    EXPECT_EQ(names_of({name}, depthwise2), "fits");
    EXPECT_EQ(names_of({name}, depthwise3), "fits");
  }
  EXPECT_EQ(names_of({"pointwise_kernel"}, depthwise2).find("fits"), std::string::npos);
  EXPECT_EQ(names_of({"depthwise_kernel", "pointwise_kernel"}, separable), "fits");
  EXPECT_EQ(names_of({"arr_0", "arr_1"}, separable), "fits");
  EXPECT_THAT(names_of({"kernel", "pointwise_kernel"}, separable), HasSubstr("depthwise_kernel.npy"));
  EXPECT_THAT(names_of({"depthwise_kernel"}, separable), HasSubstr("pointwise_kernel.npy is missing"));
}

TEST(Npz, EveryTruncationIsAnError) {
  const TemporaryFolder folder;
  const std::string file = good_npz(folder);
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(read_weights(folder.write("t.npz", file.substr(0, size)), kSmall)) << size;
  }
}

TEST(Npz, EveryDamagedByteGivesAnErrorOrTheRightSizes) {
  const TemporaryFolder folder;
  const std::string file = good_npz(folder);
  for (size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    const Result<std::vector<Tensor>> weights = read_weights(folder.write("t.npz", damaged), kSmall);
    if (weights) {
      EXPECT_EQ((*weights)[0].data.size() + (*weights)[1].data.size(), 15U) << at;
    }
  }
}

TEST(Npz, MembersMissingExtraTwiceAndMisshapen) {
  const TemporaryFolder folder;
  const auto archive = [&](const std::vector<std::pair<std::string, std::string>>& members) {
    return folder.write("t.npz", npz_bytes(folder, members));
  };
  const std::string kernel = npy_bytes(counting({2, 2, 3}));
  const std::string bias = npy_bytes(counting({3}));
  EXPECT_THAT(weights_error(archive({{"bias.npy", bias}})), HasSubstr("kernel.npy is missing"));
  EXPECT_THAT(weights_error(archive({{"kernel.npy", kernel}})),
              HasSubstr("bias.npy is missing; it must have the shape (3)"));
  EXPECT_THAT(weights_error(archive({{"kernel.npy", kernel}, {"gamma.npy", bias}})),
              HasSubstr("'gamma.npy'"));
  EXPECT_THAT(weights_error(archive({{"kernel.npy", bias}, {"bias.npy", bias}})),
              HasSubstr("must have the shape (2, 2, 3)"));
  EXPECT_THAT(weights_error(archive({{"kernel.npy", kernel}, {"bias.npy", kernel}})),
              HasSubstr("got (2, 2, 3)"));
  const std::vector<WeightShape> no_bias = {kSmall[0]};
  EXPECT_THAT(weights_error(archive({{"kernel.npy", kernel}, {"bias.npy", bias}}), no_bias),
              HasSubstr("use_bias=False"));
  // Two members of one name: the name of the other is patched, wherever it stands.
  std::string twice = npz_bytes(folder, {{"kernel.npy", kernel}, {"kernel.npx", kernel}});
  for (size_t at; (at = twice.find("kernel.npx")) != std::string::npos;) twice[at + 9] = 'y';
  EXPECT_THAT(weights_error(folder.write("t.npz", twice)), HasSubstr("t.npz"));
  EXPECT_THAT(weights_error(folder / "none.npz"), HasSubstr("can't be opened"));
  EXPECT_THAT(weights_error(folder.write("w.txt", "")), HasSubstr("must be a .npz file or a folder"));
}

// The directory of the archive claims a terabyte.
TEST(Npz, BombsAreRefusedBeforeTheyUnpack) {
  const TemporaryFolder folder;
  const std::vector<WeightShape> giant = {{"kernel", {1 << 10, 1 << 14, 1 << 14}}};
  std::string file = npz_bytes(folder, {{"kernel.npy", npy_header({1 << 10, 1 << 14, 1 << 14})}});
  const size_t entry = file.find("PK\1\2");
  ASSERT_NE(entry, std::string::npos);
  const uint32_t size = 0xfffffff0U;
  std::memcpy(file.data() + entry + 24, &size, sizeof(size));
  EXPECT_THAT(weights_error(folder.write("t.npz", file), giant),
              HasSubstr("claims to unpack 4294967280 bytes"));
}

TEST(SignalFile, ColumnsStandBehindAColon) {
  const TemporaryFolder folder;
  const auto columns = [](const std::string& typed) {
    const auto file = parse_signal_file(typed, "--input");
    return file ? file->columns : std::vector<std::string>{file.error().message};
  };
  EXPECT_EQ(columns("a.csv:x,2"), (std::vector<std::string>{"x", "2"}));
  EXPECT_EQ(columns("a.csv"), std::vector<std::string>{});
  EXPECT_EQ(columns("a:b.csv:c:d"), std::vector<std::string>{"c:d"});
  EXPECT_EQ(columns(folder.write("odd.csv:1.npy", "")), std::vector<std::string>{})
      << "the file has that name";
  EXPECT_EQ(columns("-:1"), std::vector<std::string>{"1"});
  EXPECT_EQ(columns("a.csv:'x,y',\"2\",it's"), (std::vector<std::string>{"x,y", "2", "it's"}));
  EXPECT_THAT(columns("a.npy:1")[0], HasSubstr("must end with"));
  EXPECT_THAT(columns("a.dat")[0], HasSubstr("--input-format"));
}

TEST(Wav, ReadsWhatItWrites) {
  const TemporaryFolder folder;
  const Tensor tensor = counting({700, 2});
  ASSERT_TRUE(write_signal(folder / "x.wav", FileFormat::kWav, tensor, 22050));
  const auto signal = read_signal(folder / "x.wav", FileFormat::kWav);
  ASSERT_TRUE(signal) << signal.error().message;
  EXPECT_EQ(signal->tensor, tensor);
  EXPECT_EQ(signal->sample_rate, 22050);
  EXPECT_EQ(folder.count(), 1U);
}

TEST(Wav, DamagedFiles) {
  const TemporaryFolder folder;
  const auto read_wav = [](const std::string& path) { return read_signal(path, FileFormat::kWav); };
  EXPECT_FALSE(read_wav(folder.write("x.wav", "1,2\n3,4\n")));
  EXPECT_FALSE(read_wav(folder / "none.wav"));
  ASSERT_TRUE(write_signal(folder / "y.wav", FileFormat::kWav, counting({50, 1}), 8000));
  const std::string file = TemporaryFolder::read(folder / "y.wav");
  ASSERT_TRUE(read_wav(folder / "y.wav"));
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_FALSE(read_wav(folder.write("x.wav", file.substr(0, size)))) << size;
}

TEST(Files, FailedWritesLeaveEverythingAsItWas) {
  const TemporaryFolder folder;
  const std::string old = folder.write("x.npy", "old");
  const auto failing = [](int) -> Result<void> { return make_error(ErrorCode::kIo, "no"); };
  EXPECT_FALSE(write_file(old, failing));
  EXPECT_EQ(TemporaryFolder::read(old), "old");
  EXPECT_EQ(folder.count(), 1U);
  EXPECT_FALSE(write_file(folder / "none/x.npy", failing));
  EXPECT_FALSE(write_file(folder / "", failing)) << "a folder";
  EXPECT_FALSE(write_file("/dev/null", failing)) << "a device";
  const Result<void> full = write_text("/dev/full", "x");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message, "The output /dev/full can't be written: No space left on device.");
}

TEST(Files, AnOutputTakesTheLongestNameAndTheOldPermissions) {
  const TemporaryFolder folder;
  const std::string longest = folder / std::string(255, 'n');
  EXPECT_TRUE(write_text(longest, "x"));
  EXPECT_FALSE(check_output("-o", longest + "n"));
  const std::string secret = folder.write("secret.npy", "old");
  std::filesystem::permissions(secret,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_TRUE(write_text(secret, "new"));
  EXPECT_EQ(std::filesystem::status(secret).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(Files, OutputsAreCheckedBeforeTheyAreWritten) {
  const TemporaryFolder folder;
  const std::string file = folder.write("x.npy", "old");
  std::filesystem::create_symlink("nowhere/y.npy", folder / "lost.npy");
  std::filesystem::create_symlink("loop.npy", folder / "loop.npy");
  const std::pair<std::string, const char*> cases[] = {
      {folder / "none/y.npy", "there is no folder"},
      {folder / "none/", "there is no folder"},
      {folder / "", "it is a folder"},
      {file + "/y.npy", "is no folder"},
      {file + "/", "is no folder"},
      {folder / "lost.npy", "there is no folder"},
      {folder / "loop.npy", "symbolic links"},
      {folder / std::string(300, 'n'), "name too long"},
  };
  for (const auto& [path, message] : cases) {
    const Result<void> done = check_output("--output", path);
    ASSERT_FALSE(done) << path;
    EXPECT_EQ(done.error().code, ErrorCode::kIo);
    EXPECT_THAT(done.error().message, ::testing::StartsWith("--output " + path + " can't be written: "));
    EXPECT_THAT(done.error().message, ::testing::HasSubstr(message));
    EXPECT_FALSE(write_text(path, "x")) << path;
  }
  for (const std::string& path : {file, folder / "new.npy", std::string("-"), std::string("/dev/null")})
    EXPECT_TRUE(check_output("--output", path)) << path;
  EXPECT_EQ(TemporaryFolder::read(file), "old");
}

TEST(Files, WritesGoThroughLinks) {
  const TemporaryFolder folder;
  const std::string target = folder.write("target.npy", "old");
  std::filesystem::create_symlink("target.npy", folder / "link.npy");
  ASSERT_TRUE(write_signal(folder / "link.npy", FileFormat::kNpy, counting({2}), 0));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.npy"));
  EXPECT_EQ(TemporaryFolder::read(target), npy_bytes(counting({2})));
  std::filesystem::create_symlink("new.npy", folder / "dangling.npy");
  ASSERT_TRUE(write_signal(folder / "dangling.npy", FileFormat::kNpy, counting({2}), 0));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "dangling.npy"));
  EXPECT_EQ(TemporaryFolder::read(folder / "new.npy"), npy_bytes(counting({2})));
}

TEST(Arrange, RowsAreStepsInBothLayouts) {
  const Tensor rows{{3, 2}, {0, 1, 2, 3, 4, 5}};
  const auto last = arrange_input(rows, FileFormat::kCsv, Layout::kChannelsLast, "x.csv");
  ASSERT_TRUE(last);
  EXPECT_EQ(last->tensor, (Tensor{{1, 3, 2}, {0, 1, 2, 3, 4, 5}}));
  EXPECT_EQ(last->steps, 3);
  const auto first = arrange_input(rows, FileFormat::kCsv, Layout::kChannelsFirst, "x.csv");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->tensor, (Tensor{{1, 2, 3}, {0, 2, 4, 1, 3, 5}}));
  EXPECT_EQ(first->steps, 3);
  EXPECT_EQ(*arrange_output(first->tensor, FileFormat::kCsv, Layout::kChannelsFirst, "y.csv"), rows);
  EXPECT_FALSE(arrange_output(counting({2, 3, 2}), FileFormat::kCsv, Layout::kChannelsLast, "y.csv"));
  EXPECT_FALSE(arrange_input(counting({3}), FileFormat::kNpy, Layout::kChannelsLast, "x.npy"));
}

TEST(Arrange, BatchIsTheProductOfLeadingAxes) {
  const auto input = arrange_input(counting({4, 7, 10, 2}), FileFormat::kNpy, Layout::kChannelsLast, "x.npy");
  ASSERT_TRUE(input);
  EXPECT_EQ(input->batch, 28);
  EXPECT_EQ(input->steps, 10);
  constexpr int64_t kHuge = int64_t{1} << 40;
  EXPECT_FALSE(arrange_input({{kHuge, kHuge, 0, 1}, {}}, FileFormat::kNpy, Layout::kChannelsLast, "x.npy"));
}

TEST(Arrange, ModelInputs) {
  const auto fits = [](std::vector<int64_t> shape, FileFormat format, const Shape& sample,
                       std::optional<int64_t> fixed = {}) {
    return arrange_sample(counting(std::move(shape)), format, sample, fixed, "x");
  };
  const Shape open = {std::nullopt, 3};
  EXPECT_EQ(fits({7, 3}, FileFormat::kNpy, open)->steps, 7);
  EXPECT_TRUE(fits({7, 3}, FileFormat::kCsv, open)->single);
  EXPECT_EQ(fits({2, 7, 3}, FileFormat::kNpy, open)->batch, 2);
  EXPECT_FALSE(fits({2, 7, 4}, FileFormat::kNpy, open));
  EXPECT_FALSE(fits({7}, FileFormat::kNpy, open));
  EXPECT_TRUE(fits({7, 3}, FileFormat::kNpy, open, 7));
  EXPECT_THAT(fits({8, 3}, FileFormat::kNpy, open, 7).error().message, HasSubstr("exactly 7 steps"));
  // Channels first: rows of a table are steps all the same.
  EXPECT_EQ(fits({7, 3}, FileFormat::kCsv, {3, std::nullopt})->tensor.shape, (std::vector<int64_t>{1, 3, 7}));
  // Features: rows are samples, and a column that fits is one.
  EXPECT_EQ(fits({5, 3}, FileFormat::kCsv, {3})->batch, 5);
  EXPECT_EQ(fits({3, 1}, FileFormat::kCsv, {3})->batch, 1);
  EXPECT_EQ(fits({3}, FileFormat::kNpy, {3})->steps, 1);
}

TEST(Noise, RatioIsInDecibels) {
  const Tensor clean{{2, 1}, {3, 4}};
  EXPECT_NEAR(signal_to_noise({{2, 1}, {3, 4.5F}}, clean), 20, 1e-9);
  EXPECT_EQ(signal_to_noise(clean, clean), HUGE_VAL);
}

TEST(Compare, DifferencesAndNans) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor a{{1, 2, 2}, {1, 2, nan, 4}};
  EXPECT_TRUE(compare_tensors(a, a).bit_equal);
  EXPECT_EQ(compare_tensors(a, a).largest, 0);
  const Difference near = compare_tensors(a, {{2, 2}, {1, 2.5F, nan, 4}});
  EXPECT_TRUE(near.same_shape);
  EXPECT_FALSE(near.bit_equal);
  EXPECT_EQ(near.largest, 0.5);
  EXPECT_EQ(near.relative, 0.125);
  EXPECT_EQ(compare_tensors(a, {{2, 2}, {1, nan, nan, 4}}).largest, HUGE_VAL);
  EXPECT_FALSE(compare_tensors(a, {{4, 1}, {1, 2, 3, 4}}).same_shape);
}

}  // namespace
}  // namespace convsmith::cli

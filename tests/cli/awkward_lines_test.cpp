// Command lines that nobody should type, from a table: each ends in time, by itself, with the exit code and
// the sentence that the table names, and those that are refused change no file.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <map>

#include "tests/cli/call_cli.hpp"

namespace convsmith::cli {
namespace {

using cli_test::quoted;
using cli_test::TemporaryFolder;

struct Line {
  int number = 0;
  int exit_code = 0;
  std::string says;
  std::string command;
};

struct Section {
  std::string title;
  std::vector<Line> lines;
};

void PrintTo(const Section& section, std::ostream* out) {
  *out << section.title;
}

Line parse_line(const std::string& text, int number) {
  const size_t first = text.find('|');
  const size_t second = text.find('|', first + 1);
  const auto trimmed = [](const std::string& cell) {
    const size_t begin = cell.find_first_not_of(' ');
    return begin == std::string::npos ? "" : cell.substr(begin, cell.find_last_not_of(' ') - begin + 1);
  };
  return {number, std::stoi(text.substr(0, first)), trimmed(text.substr(first + 1, second - first - 1)),
          trimmed(text.substr(second + 1))};
}

// Sections begin with "# --- title".
std::vector<Section> read_table() {
  std::vector<Section> sections;
  std::ifstream file(places::test_data("awkward_lines.txt"));
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.starts_with("# --- ")) sections.push_back({text.substr(6), {}});
    if (!text.empty() && text[0] != '#') sections.back().lines.push_back(parse_line(text, number));
  }
  return sections;
}

std::string npy(const std::string& descr, const std::string& shape, size_t bytes) {
  const std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + "}\n";
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         std::string(bytes, '\0');
}

constexpr const char* kModel = R"({"class_name": "Sequential", "config": {"name": "small", "layers": [
  {"class_name": "InputLayer", "config": {"batch_input_shape": [null, null, 4], "name": "in"}},
  {"class_name": "Conv1D", "config": {"name": "c", "filters": 4, "kernel_size": [3]}}]}})";

void make_arrays(const TemporaryFolder& folder) {
  using cli_test::input_file;
  input_file(folder, "x.npy", {2, 10, 4});
  input_file(folder, "e.npy", {2, 8, 4});
  input_file(folder, "one.npy", {10, 4});
  input_file(folder, "flat.npy", {80});
  std::filesystem::create_directory(folder / "weights");
  input_file(folder, "weights/kernel.npy", {3, 4, 4});
  input_file(folder, "weights/bias.npy", {4});
  folder.write("cut.npy", TemporaryFolder::read(folder / "x.npy").substr(0, 400));
  folder.write("text.npy", "hello, this is no array\n");
  folder.write("lying.npy", npy("<f8", "(4611686018427387905, 4)", 16));
  folder.write("object.npy", npy("|O", "(2,)", 16));
  folder.write("complex.npy", npy("<c8", "(2, 1)", 16));
  ASSERT_TRUE(
      write_signal(folder / "x.wav", FileFormat::kWav, {{100, 1}, std::vector<float>(100, 0.5F)}, 16000));
}

void make_files(const TemporaryFolder& folder) {
  make_arrays(folder);
  std::string rows;
  for (int i = 0; i < 10; ++i) rows += std::to_string(i) + ",1,2.5,-3\n";
  for (const char* name : {"x.csv", "sp ace.csv", "ümlaut µ.csv", "a=b.csv", "a:b.csv", "-x.csv", "noname"})
    folder.write(name, "a,b,c,d\n" + rows);
  folder.write("units.csv", "a,b,c,d\ns,mV,mV,mV\n" + rows);
  folder.write("missing.csv", "a,b,c,d\n,1,2,3\n" + rows);
  folder.write("broken.csv", "a,b,c,d\n1,2,3,4\n1,x,3,4\n" + rows);
  folder.write("text.txt", "1\n2\n");
  for (const char* name :
       {"empty.npy", "empty.csv", "empty.wav", "empty.json", "empty.keras", "empty.npz", "empty.vir"})
    folder.write(name, "");
  folder.write("bad.keras", "PK\3\4 and no more");
  folder.write("bad.npz", "PK\3\4 and no more");
  folder.write("bad.h5", "\x89HDF\r\n\x1a\n and no more");
  folder.write("layer.json", R"({"class_name": "Conv1D", "config": {"filters": 4, "kernel_size": 3}})");
  folder.write("model.json", kModel);
  folder.write("two.json", cli_test::model_of_two_inputs(4));
  folder.write("layer.nest", "nest of twigs\n");
  folder.write("p.vir", "vir x lanes 4 scratch 0 {\n}\n");
  folder.write("idle.vir", "# run in=8 out=8\nvir idle lanes 8 scratch 0 {\n}\n");
  folder.write(
      "ranges.nest",
      "nest Conv1D(8, 3, input_shape=(None, 4)) {\n  for n\n  for g = 0..1\n  for f = 0..999\n  for o\n"
      "  for k = 0..3\n  for c = 0..4\n}\n");
  for (const char* name : {"folder", "folder.npy", "folder.keras", "folder.html", "folder.o"})
    std::filesystem::create_directory(folder / name);
  std::filesystem::create_symlink("loop.npy", folder / "loop.npy");
}

// All files below the folder with what they hold.
std::map<std::string, std::string> contents(const TemporaryFolder& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "")) {
    const bool is_file = entry.symlink_status().type() == std::filesystem::file_type::regular;
    all[entry.path().string()] = is_file ? TemporaryFolder::read(entry.path().string()) : "";
  }
  return all;
}

// What a line that went well has written goes again.
void restore(const TemporaryFolder& folder, const std::map<std::string, std::string>& before) {
  for (const auto& [path, text] : contents(folder)) {
    const auto old = before.find(path);
    if (old == before.end()) {
      EXPECT_EQ(path.find(".convsmith-"), std::string::npos) << path;
      std::filesystem::remove(path);
    } else if (old->second != text) {
      std::ofstream(path, std::ios::binary) << old->second;
    }
  }
}

class AwkwardLines : public testing::TestWithParam<Section> {};

TEST_P(AwkwardLines, EndAsTheTableSays) {
  const TemporaryFolder folder;
  const TemporaryFolder said;
  make_files(folder);
  const auto before = contents(folder);
  const std::string head = "cd " + quoted(folder / "") + "; C=" + quoted(places::program()) +
                           "; L='Conv1D(4, 3)'; D='Conv1D(4, 3, input_shape=(10, 4))'; ";
  for (const Line& line : GetParam().lines) {
    const std::string place = "line " + std::to_string(line.number) + ": " + line.command;
    const std::string script = "timeout -s KILL 100 sh -c " + quoted(head + line.command) + " >" +
                               quoted(said / "out") + " 2>" + quoted(said / "err") + " </dev/null";
    const int status = std::system(script.c_str());
    const std::string err = TemporaryFolder::read(said / "err");
    ASSERT_TRUE(WIFEXITED(status)) << place;
    EXPECT_EQ(WEXITSTATUS(status), line.exit_code) << place << "\n" << err;
    const bool can_speak = line.says != "?";
    if (can_speak) {
      EXPECT_NE(err.find(line.says), std::string::npos) << place << "\n" << err;
    }
    if (line.exit_code != 0) {
      EXPECT_EQ(err.find("error: ") != std::string::npos, can_speak) << place;
      EXPECT_TRUE(contents(folder) == before) << place << "\nchanged a file";
    }
    restore(folder, before);
  }
}

std::string test_name(const testing::TestParamInfo<Section>& info) {
  std::string name;
  for (const char c : info.param.title) name += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, AwkwardLines, testing::ValuesIn(read_table()), test_name);

TEST(AwkwardTable, HasManyLines) {
  size_t lines = 0;
  for (const Section& section : read_table()) lines += section.lines.size();
  EXPECT_GE(lines, 150U);
}

}  // namespace
}  // namespace convsmith::cli

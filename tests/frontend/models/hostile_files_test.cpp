// Damaged and hostile files: an error or a model, never a crash, and nothing outside the file.
#include <gtest/gtest.h>
#include <zip.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "tests/frontend/models/model_files.hpp"

namespace convsmith {
namespace {

using model_files::bytes_of;

struct Member {
  std::string name;
  std::string text;
  bool deflate = false;
};

std::string make_zip(const std::vector<Member>& members) {
  const auto path =
      std::filesystem::temp_directory_path() / ("convsmith_" + std::to_string(getpid()) + ".zip");
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const Member& member : members) {
    zip_source_t* source = zip_source_buffer(archive, member.text.data(), member.text.size(), 0);
    const auto index = zip_file_add(archive, member.name.c_str(), source, 0);
    EXPECT_GE(index, 0) << member.name;
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index),
                             member.deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  EXPECT_EQ(zip_close(archive), 0);
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(path);
  return bytes;
}

// The members of a good file, and more.
std::vector<Member> good_members() {
  std::string json = bytes_of("seq_conv_k3/model.json");
  return {{"metadata.json", R"({"keras_version": "3.15.1"})"},
          {"config.json", json, true},
          {"model.weights.h5", bytes_of("seq_conv_k3/model.weights.h5"), true}};
}

std::string message(const std::vector<Member>& members) {
  return model_files::message(load_model_bytes(make_zip(members), "m.keras"));
}

void replace_all(std::string& bytes, const std::string& from, const std::string& to) {
  ASSERT_EQ(from.size(), to.size());
  ASSERT_NE(bytes.find(from), std::string::npos);
  for (std::size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; at += to.size())
    bytes.replace(at, to.size(), to);
}

TEST(HostileFiles, DeflatedMembersAreRead) {
  const LoadedModel model = load_model_bytes(make_zip(good_members()), "m.keras").value();
  EXPECT_EQ(model.spec.layers[1].weights,
            load_model(model_files::path_of("seq_conv_k3/model.keras")).value().spec.layers[1].weights);
}

TEST(HostileFiles, MissingMembers) {
  std::vector<Member> members = good_members();
  EXPECT_EQ(message({members[0], members[2]}),
            "'m.keras' is a zip file without a config.json, so no Keras model. In Python: "
            "keras.models.load_model(...).save('model.keras').");
  EXPECT_EQ(message({members[0], members[1]}), "The zip file 'm.keras' has no model.weights.h5.");
}

TEST(HostileFiles, NamesThatLeadOut) {
  for (const char* name : {"../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil"}) {
    std::vector<Member> members = good_members();
    members.push_back({name, "x"});
    EXPECT_NE(message(members).find(", which leads out of it."), std::string::npos) << name;
  }
}

TEST(HostileFiles, RepeatedNames) {
  std::vector<Member> members = good_members();
  members.push_back({"config.jsoN", "{}"});
  std::string bytes = make_zip(members);
  replace_all(bytes, "config.jsoN", "config.json");
  EXPECT_EQ(model_files::message(load_model_bytes(bytes, "m.keras")),
            "The zip file 'm.keras' has two members with the same name.");
}

TEST(HostileFiles, ZipBombs) {
  std::vector<Member> members = good_members();
  members[2].text.assign(20 << 20, '\0');
  const std::string text = message(members);
  EXPECT_NE(text.find("which claims to unpack from"), std::string::npos) << text;
}

// Sizes in the directory that are not those of the data.
TEST(HostileFiles, LyingSizes) {
  const std::vector<Member> members = good_members();
  const std::string good = make_zip(members);
  const auto size = static_cast<uint32_t>(members[1].text.size());
  for (const uint32_t claimed : {size - 1, size + 1, size * 10, 0xfffffff0U}) {
    std::string bytes = good;
    replace_all(bytes, std::string(reinterpret_cast<const char*>(&size), 4),
                std::string(reinterpret_cast<const char*>(&claimed), 4));
    EXPECT_FALSE(load_model_bytes(bytes, "m.keras").has_value()) << claimed;
  }
}

TEST(HostileFiles, NestedTooDeeply) {
  std::vector<Member> members = good_members();
  members[1].text = std::string(1 << 20, '[');
  EXPECT_EQ(message(members), "JSON may be nested 64 deep at most.");
}

// Whatever comes out, it comes out.
void try_damaged(const std::string& good, int rounds, unsigned seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < rounds; ++i) {
    (void)load_model_bytes(std::string_view(good).substr(0, random() % good.size()), "damaged");
    std::string bytes = good;
    for (int j = 0; j < 1 << (i % 4); ++j) bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)load_model_bytes(bytes, "damaged");
  }
}

TEST(HostileFiles, TruncatedAndFlipped) {
  unsigned seed = 0;
  for (const char* file :
       {"seq_conv_k3/model.keras", "nested_k2/model.keras", "nested_k3/model.h5", "trained_k2/model.h5"})
    try_damaged(bytes_of(file), 60, ++seed);
}

// The library is known to crash or to loop on some of these.
TEST(HostileFiles, FlippedStructuresOfHdf5) {
  const std::string good = bytes_of("nested_k3/model.h5");
  for (std::size_t at = 0; at < good.size(); at += 211) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(~bytes[at]);
    (void)load_model_bytes(bytes, "damaged");
  }
}

TEST(HostileFiles, CrashOfTheLibraryIsAnError) {
  // A byte that makes HDF5 1.10 read beyond its buffers; other versions may read the file.
  std::string bytes = bytes_of("nested_k3/model.h5");
  bytes[9570] = static_cast<char>(bytes[9570] ^ 0x80);
  const Result<LoadedModel> model = load_model_bytes(bytes, "m.h5");
  EXPECT_TRUE(model.has_value() || model.error().code == ErrorCode::kInvalidData);
}

}  // namespace
}  // namespace convsmith

// Files of others: what they are, and how to get one that can be read.
#include "frontend/models/foreign_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/temporary_folder.hpp"
#include "tests/frontend/models/model_files.hpp"

namespace convsmith {
namespace {

using cli_test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::string_literals;

TEST(ForeignFiles, AreKnownByTheirFirstBytes) {
  const std::pair<std::string, const char*> files[] = {
      {"TFL3", "TensorFlow Lite"},
      {"\x1c\0\0\0TFL3\x14\0"s, "TensorFlow Lite"},
      {"\x93NUMPY\x01\0"s, "arrays"},
      {"RIFF....WAVEfmt ", "data file"},
      {"", "is empty"},
      {"\x1f\x8b\x08\0"s, "gzip"},
      {"BZh91AY", "bzip2"},
      {"\xfd"
       "7zXZ\0"s,
       "xz"},
      {"\x28\xb5\x2f\xfd"s, "zstd"},
      {"7z\xbc\xaf\x27\x1c"s, "7z"},
      {std::string(257, 'm') + "ustar", "tar"},
      {"PK\x03\x04............................model/data.pkl"s, "PyTorch"},
      {"PK\x03\x04............................kernel.npy"s, "arrays"},
      {"\x80\x04\x95....\x8c\x05numpy"s, "pickle"},
      {"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 torch"s, "PyTorch"},
      {"\x40\0\0\0\0\0\0\0{\"weight\":{}}"s, "safetensors"},
      {"\x08\x08\x12\x07pytorch\x1a\x05"
       "2.1.0:"s,
       "ONNX"},
      {"\x08\x01\x12\x8e\x02\x12\x08saved_model_schema_version"s, "SavedModel"},
      {"{\"format\":\"layers-model\",\"modelTopology\":{}}", "TensorFlow.js"},
      {"{\n  \"weightsManifest\": []}", "TensorFlow.js"},
      {"GGUF\x03\0\0\0"s, "GGUF"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git-lfs"},
      {"<!DOCTYPE html>\n<html>", "HTML"},
      {"\xef\xbb\xbf\r\n  <HTML lang='en'>", "HTML"},
      {"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"},
  };
  for (const auto& [bytes, what] : files) {
    const auto found = foreign_file("file", bytes);
    ASSERT_TRUE(found) << what;
    EXPECT_THAT(found->text(), HasSubstr(what));
    EXPECT_THAT(found->what, HasSubstr("'file' is "));
    EXPECT_FALSE(found->cure.empty());
  }
}

TEST(ForeignFiles, AreKnownByTheirNames) {
  for (const auto& [name, what] :
       {std::pair("m.tflite", "TensorFlow Lite"), std::pair("M.PB", "SavedModel"),
        std::pair("w.pth", "PyTorch"), std::pair("w.safetensors", "safetensors"), std::pair("m.onnx", "ONNX"),
        std::pair("m.mlmodel", "Core ML"), std::pair("m.pkl", "pickle"), std::pair("w.npz", "arrays"),
        std::pair("x.csv", "--input"), std::pair("m.ckpt", "checkpoint"), std::pair("train.py", "Python"),
        std::pair("m.gguf", "GGUF")}) {
    const auto found = foreign_file(name, "?");
    ASSERT_TRUE(found) << name;
    EXPECT_THAT(found->text(), HasSubstr(what));
  }
  EXPECT_FALSE(foreign_file("layer", "Conv1D(32, 3)"));
  EXPECT_FALSE(foreign_file("layer.txt", R"({"class_name": "Dense", "config": {"units": 3}})"));
  EXPECT_FALSE(foreign_file("named.json", R"({"class_name": "Dense", "config": {"name": "modelTopology"}})"));
  EXPECT_FALSE(foreign_file("m.keras", "PK\x03\x04....config.json"));
}

TEST(ForeignFiles, LoadModelSaysWhatTheyAre) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      model_files::message(load_model(folder.write("c.tflite", "TFL3"))),
      AllOf(HasSubstr("c.tflite' is a TensorFlow Lite model"), HasSubstr("model.save('model.keras')")));
  EXPECT_THAT(model_files::message(load_model(folder.write("odd.keras", "\x93NUMPY"))), HasSubstr("arrays"));
  EXPECT_THAT(model_files::message(load_model(folder.write("js.json", R"({"modelTopology": {}})"))),
              HasSubstr("js.json' is a model of TensorFlow.js"));
  const std::string saved = folder / "saved";
  std::filesystem::create_directory(saved);
  EXPECT_THAT(model_files::message(load_model(saved)), HasSubstr("is a folder. A model is a .keras"));
  folder.write("saved/saved_model.pb", "");
  EXPECT_THAT(
      model_files::message(load_model(saved)),
      AllOf(HasSubstr("SavedModel"), HasSubstr("tf_keras.models.load_model(folder).save('model.h5')")));
}

TEST(ForeignFiles, AsWeightsOfAModel) {
  const TemporaryFolder folder;
  const std::string model = model_files::path_of("two_in_two_out_k3/model.keras");
  const std::string said =
      model_files::message(load_model(model, {.weights_path = folder.write("w.npy", "\x93NUMPY")}));
  EXPECT_THAT(said, AllOf(HasSubstr("w.npy' is a file of arrays"), HasSubstr(".weights.h5, .h5 and .keras")));
}

}  // namespace
}  // namespace convsmith

// Weights from HDF5 files that the test writes: forms that the golden files do not have, and files that lie.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/frontend/models/h5_writer.hpp"
#include "tests/frontend/models/json_models.hpp"
#include "tests/frontend/models/model_files.hpp"

namespace convsmith {
namespace {

using namespace json_models;
using h5_writer::H5Writer;

std::vector<float> count_up(std::size_t size) {
  std::vector<float> out(size);
  std::iota(out.begin(), out.end(), 1.0F);
  return out;
}

// A whole model: one Conv1D "a" (3 taps, 3 channels, 2 filters) with weights at model_weights/a/a.
struct OneConv {
  H5Writer file;
  std::string json = with_input(conv("a"));
  std::vector<std::string> weight_names = {"a/kernel:0", "a/bias:0"};

  void heads() {
    file.group("model_weights/a");
    file.variable_text("/", "model_config", {json});
    file.fixed_text("model_weights", "layer_names", {"x", "a"});
    file.group("model_weights/x");
    file.no_names("model_weights/x");
    file.fixed_text("model_weights/a", "weight_names", weight_names);
  }
  void kernel(hid_t type = H5T_IEEE_F32LE, hid_t creation = H5P_DEFAULT) {
    file.dataset("model_weights/a/a/kernel:0", {3, 3, 2}, count_up(18), type, creation);
  }
  void bias() { file.dataset("model_weights/a/a/bias:0", {2}, {5, 6}); }
  Result<LoadedModel> load() { return load_model_bytes(file.bytes(), "m.h5"); }
};

std::string message(OneConv& model) {
  return model_files::message(model.load());
}

TEST(ModelWeights, FixedAndVariableTexts) {
  OneConv model;
  model.heads();
  model.kernel();
  model.bias();
  const LoadedModel loaded = model.load().value();
  EXPECT_EQ(loaded.spec.layers[1].weights[0], (Tensor{{3, 3, 2}, count_up(18)}));
  EXPECT_EQ(loaded.spec.layers[1].weights[1], (Tensor{{2}, {5, 6}}));
  EXPECT_TRUE(loaded.notes.empty());
}

TEST(ModelWeights, OtherFloatsAreConverted) {
  const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_ebias(half, 15);
  H5Tset_size(half, 2);
  const std::pair<hid_t, const char*> kTypes[] = {
      {H5T_IEEE_F64LE, "float64"}, {H5T_IEEE_F64BE, "float64"}, {half, "float16"}};
  for (const auto& [type, name] : kTypes) {
    OneConv model;
    model.heads();
    model.kernel(type);
    model.bias();
    const LoadedModel loaded = model.load().value();
    EXPECT_EQ(loaded.spec.layers[1].weights[0].data, count_up(18));
    EXPECT_EQ(loaded.notes, std::vector<std::string>{fmt::format(
                                "1 weights are stored as {} and were converted to float32.", name)});
  }
  OneConv integers;
  integers.heads();
  integers.kernel(H5T_STD_I32LE);
  integers.bias();
  EXPECT_EQ(
      message(integers),
      "'a/a/kernel:0' in the weights file has a type of number other than float16, bfloat16, float32 and "
      "float64.");
}

// HDF5 has no such type; Keras writes the bytes without one.
TEST(ModelWeights, Bfloat16) {
  const uint16_t halves[] = {0x3F80, 0xC040, 0x3DCD, 0x7F80, 0x8000, 0x0001};
  const std::vector<float> expected = {1.0F, -3.0F, 0.10009765625F, INFINITY, -0.0F, 0x1p-133F};
  std::vector<uint16_t> kernel;
  std::vector<float> values;
  for (int i = 0; i < 3; ++i) {
    kernel.insert(kernel.end(), std::begin(halves), std::end(halves));
    values.insert(values.end(), expected.begin(), expected.end());
  }
  const hid_t type = H5Tcreate(H5T_OPAQUE, 2);
  OneConv model;
  model.heads();
  model.file.raw_dataset("model_weights/a/a/kernel:0", {3, 3, 2}, type, type, kernel.data());
  model.bias();
  const LoadedModel loaded = model.load().value();
  EXPECT_EQ(loaded.spec.layers[1].weights[0].data, values);
  EXPECT_EQ(loaded.notes,
            std::vector<std::string>{"1 weights are stored as bfloat16 and were converted to float32."});
  OneConv wide;
  wide.heads();
  const hid_t four = H5Tcreate(H5T_OPAQUE, 4);
  wide.file.raw_dataset("model_weights/a/a/kernel:0", {3, 3, 2}, four, four, nullptr);
  wide.bias();
  EXPECT_NE(message(wide).find("has a type of number other than"), std::string::npos);
}

TEST(ModelWeights, ChunksDeflateAndShuffle) {
  const hsize_t chunk[] = {2, 3, 2};
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 3, chunk);
  H5Pset_shuffle(creation);
  H5Pset_deflate(creation, 9);
  OneConv model;
  model.heads();
  model.kernel(H5T_IEEE_F32LE, creation);
  model.bias();
  EXPECT_EQ(model.load().value().spec.layers[1].weights[0].data, count_up(18));
  OneConv other;
  H5Pset_fletcher32(creation);
  other.heads();
  other.kernel(H5T_IEEE_F32LE, creation);
  other.bias();
  EXPECT_EQ(message(other),
            "'a/a/kernel:0' in the weights file has a filter other than deflate and shuffle.");
}

TEST(ModelWeights, SplitNames) {
  OneConv model;
  model.file.group("model_weights/a");
  model.file.variable_text("/", "model_config", {model.json});
  model.file.fixed_text("model_weights", "layer_names0", {"x"});
  model.file.variable_text("model_weights", "layer_names1", {"a"});
  model.file.group("model_weights/x");
  model.file.no_names("model_weights/x");
  model.file.fixed_text("model_weights/a", "weight_names", model.weight_names);
  model.kernel();
  model.bias();
  EXPECT_EQ(model.load().value().spec.layers[1].weights[1].data, (std::vector<float>{5, 6}));
}

// Keras 1 stored kernels with an axis of 1, and earlier yet in Theano's order.
TEST(ModelWeights, Keras1Kernels) {
  const std::string json =
      R"({"class_name":"Sequential","config":[{"class_name":"Convolution1D","config":{"name":"a","nb_filter":2,
         "filter_length":3,"batch_input_shape":[null,8,4]}}],"keras_version":"1.2.0"})";
  for (const bool old : {false, true}) {
    H5Writer file;
    file.group("model_weights/a");
    file.fixed_text("/", "model_config", {json});
    file.fixed_text("model_weights", "layer_names", {"a"});
    file.fixed_text("model_weights/a", "weight_names", {"a_W", "a_b"});
    file.dataset("model_weights/a/a_W",
                 old ? std::vector<hsize_t>{2, 4, 3, 1} : std::vector<hsize_t>{3, 1, 4, 2}, count_up(24));
    file.dataset("model_weights/a/a_b", {2}, {5, 6});
    const Tensor kernel = load_model_bytes(file.bytes(), "m.h5").value().spec.layers[1].weights[0];
    EXPECT_EQ(kernel.shape, (std::vector<int64_t>{3, 4, 2}));
    // Tap 1, channel 2, filter 1.
    EXPECT_EQ(kernel.data[(1 * 4 + 2) * 2 + 1],
              old ? 1.0F + (1 * 4 + 2) * 3 + 1 : 1.0F + (1 * 4 + 2) * 2 + 1);
  }
}

// The weights of a nested model stand trained ones first.
TEST(ModelWeights, NestedModelsWithFrozenLayers) {
  const std::string norm = R"({"class_name":"BatchNormalization","config":{"name":"n","axis":[2]}})";
  for (const bool frozen : {false, true}) {
    const std::string inner = fmt::format(
        R"({{"class_name":"Sequential","config":{{"name":"block","layers":[{},{},{}]}}}})",
        conv("a", R"(,"batch_input_shape":[null,8,3])" + std::string(frozen ? R"(,"trainable":false)" : "")),
        norm, conv("b"));
    H5Writer file;
    file.group("model_weights/block");
    file.variable_text("/", "model_config", {with_input(inner)});
    file.fixed_text("model_weights", "layer_names", {"block"});
    const std::vector<std::string> trained = {"n/gamma", "n/beta", "b/kernel", "b/bias"};
    const std::vector<std::string> rest = {"n/mean", "n/variance"};
    const std::vector<std::string> first = {"a/kernel", "a/bias"};
    std::vector<std::string> names = frozen ? trained : first;
    names.insert(names.end(), frozen ? first.begin() : trained.begin(), frozen ? first.end() : trained.end());
    names.insert(names.end(), rest.begin(), rest.end());
    file.fixed_text("model_weights/block", "weight_names", names);
    float value = 0;
    for (const char* name :
         {"a/kernel", "a/bias", "n/gamma", "n/beta", "n/mean", "n/variance", "b/kernel", "b/bias"}) {
      const bool is_kernel = std::string_view(name).ends_with("kernel");
      const hsize_t channels = std::string_view(name).starts_with("a") ? 3 : 2;
      ++value;
      file.dataset("model_weights/block/" + std::string(name),
                   is_kernel ? std::vector<hsize_t>{3, channels, 2} : std::vector<hsize_t>{2},
                   std::vector<float>(is_kernel ? 6 * channels : 2, value));
    }
    const ModelSpec spec = load_model_bytes(file.bytes(), "m.h5").value().spec;
    float expected = 0;
    for (const ModelLayer& layer : spec.layers) {
      for (const Tensor& weight : layer.weights) EXPECT_EQ(weight.data.front(), ++expected) << layer.name;
    }
    EXPECT_EQ(expected, 8.0F);
  }
}

TEST(ModelWeights, WrongNumbersAndShapes) {
  OneConv few;
  few.weight_names = {"a/kernel:0"};
  few.heads();
  few.kernel();
  EXPECT_EQ(message(few), "Layer 'a' has 1 weights in the file; by its arguments it has 2 (kernel, bias).");
  OneConv shape;
  shape.heads();
  shape.file.dataset("model_weights/a/a/kernel:0", {3, 2, 3}, count_up(18));
  shape.bias();
  EXPECT_EQ(message(shape),
            "Layer 'a': the weight `kernel` has the shape (3, 2, 3) in the file, expected (3, any, 2).");
  OneConv missing;
  missing.heads();
  missing.kernel();
  EXPECT_EQ(message(missing), "The weights file has no 'a/a/bias:0'.");
  OneConv group;
  group.heads();
  group.kernel();
  group.file.group("model_weights/a/a/bias:0");
  EXPECT_EQ(message(group), "'a/bias:0' in the weights file is no dataset.");
  OneConv theano;
  theano.heads();
  theano.file.fixed_text("model_weights", "backend", {"theano"});
  EXPECT_EQ(
      message(theano),
      "The weights were saved with the Theano backend, whose kernels are flipped; that is not supported.");
}

TEST(ModelWeights, LinksOutOfTheTreeAreRefused) {
  const auto refusal = [](auto make_link) {
    OneConv model;
    model.heads();
    model.kernel();
    model.file.dataset("elsewhere", {2}, {5, 6});
    make_link(model.file.file());
    return message(model);
  };
  const char* place = "model_weights/a/a/bias:0";
  EXPECT_EQ(refusal([&](hid_t file) { H5Lcreate_soft("/elsewhere", file, place, H5P_DEFAULT, H5P_DEFAULT); }),
            "'a/a/bias:0' in the weights file is a soft link.");
  EXPECT_EQ(refusal([&](hid_t file) {
              H5Lcreate_external("/etc/passwd", "/x", file, place, H5P_DEFAULT, H5P_DEFAULT);
            }),
            "'a/a/bias:0' in the weights file is a link to another file.");
  // In order of names the other place comes first.
  EXPECT_EQ(
      refusal([&](hid_t file) { H5Lcreate_hard(file, "elsewhere", file, place, H5P_DEFAULT, H5P_DEFAULT); }),
      "'a/a/bias:0' in the weights file is linked more than once.");
  // A group inside itself.
  EXPECT_EQ(refusal([&](hid_t file) {
              H5Lcreate_hard(file, "model_weights", file, place, H5P_DEFAULT, H5P_DEFAULT);
            }),
            "'a/a/bias:0' in the weights file is linked more than once.");
}

TEST(ModelWeights, DataElsewhereIsRefused) {
  const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(external, "/etc/hostname", 0, 72);
  OneConv model;
  model.heads();
  model.bias();
  const hsize_t sizes[] = {3, 3, 2};
  const hid_t space = H5Screate_simple(3, sizes, nullptr);
  H5Dclose(H5Dcreate2(model.file.file(), "model_weights/a/a/kernel:0", H5T_IEEE_F32LE, space, H5P_DEFAULT,
                      external, H5P_DEFAULT));
  EXPECT_EQ(message(model), "'a/a/kernel:0' in the weights file keeps its data in another file.");
  const hid_t virtual_set = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_virtual(virtual_set, space, "/tmp/other.h5", "/data", space);
  OneConv other;
  other.heads();
  other.bias();
  H5Dclose(H5Dcreate2(other.file.file(), "model_weights/a/a/kernel:0", H5T_IEEE_F32LE, space, H5P_DEFAULT,
                      virtual_set, H5P_DEFAULT));
  EXPECT_EQ(
      message(other),
      "'a/a/kernel:0' in the weights file is a virtual dataset, which takes its data from other files.");
}

TEST(ModelWeights, ClaimsBeyondTheFileAreRefused) {
  for (const bool chunked : {false, true}) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {1, 1024, 2};
    if (chunked) {
      H5Pset_chunk(creation, 3, chunk);
      H5Pset_deflate(creation, 9);
    }
    OneConv model;
    model.heads();
    model.bias();
    // Nothing of the eight terabytes is written.
    model.file.dataset("model_weights/a/a/kernel:0", {1 << 20, 1 << 20, 2}, {}, H5T_IEEE_F32LE, creation);
    EXPECT_EQ(message(model), "'a/a/kernel:0' in the weights file claims more data than the file has.");
  }
}

// Thousands of elements that share one long string would come back as hundreds of megabytes.
TEST(ModelWeights, SharedTextsDoNotMultiply) {
  OneConv model;
  model.heads();
  model.kernel();
  model.bias();
  std::vector<std::string> texts(4000, "y");
  texts.front().assign(50000, 'x');
  model.file.variable_text("model_weights/x", "many", texts);
  std::string bytes = model.file.bytes();
  // An element is the length, and the address and the number of the text.
  const uint32_t lengths[] = {50000, 1};
  const std::string first(reinterpret_cast<const char*>(&lengths[0]), 4);
  const std::string second(reinterpret_cast<const char*>(&lengths[1]), 4);
  std::size_t at = bytes.find(first);
  while (at != std::string::npos && bytes.compare(at + 16, 4, second) != 0) at = bytes.find(first, at + 1);
  ASSERT_NE(at, std::string::npos);
  for (std::size_t i = 1; i < 4000; ++i) bytes.replace(at + 16 * i, 16, bytes, at, 16);
  // The text is ignored, or the child process runs into its limit of memory.
  const Result<LoadedModel> model_or_error = load_model_bytes(bytes, "m.h5");
  EXPECT_TRUE(model_or_error.has_value() || model_or_error.error().code == ErrorCode::kInvalidData);
}

TEST(ModelWeights, OtherNamesAreTakenInOrder) {
  OneConv model;
  model.json = with_input(conv("b"));
  model.heads();
  model.kernel();
  model.bias();
  const LoadedModel loaded = model.load().value();
  EXPECT_EQ(loaded.notes,
            std::vector<std::string>{
                "The layers' names in the weights file are others; weights were taken in order."});
  EXPECT_EQ(loaded.spec.layers[1].weights[1].data, (std::vector<float>{5, 6}));
}

// Two layers in a nested model whose names in the file are other ones: order decides, and shapes disagree.
TEST(ModelWeights, AWrongShapeByOrderSaysWhy) {
  const std::string inner = fmt::format(
      R"({{"class_name":"Sequential","config":{{"name":"block","layers":[{},{}]}}}})",
      conv("a", R"(,"use_bias":false,"batch_input_shape":[null,8,3])"), conv("b", R"(,"use_bias":false)"));
  for (const bool known : {true, false}) {
    H5Writer file;
    file.group("model_weights/block");
    file.variable_text("/", "model_config", {with_input(inner)});
    file.fixed_text("model_weights", "layer_names", {"block"});
    const std::string first = known ? "b/kernel:0" : "p/kernel:0";
    const std::string second = known ? "a/kernel:0" : "q/kernel:0";
    file.fixed_text("model_weights/block", "weight_names", {first, second});
    file.dataset("model_weights/block/" + first, {1, 2, 2}, count_up(4));
    file.dataset("model_weights/block/" + second, {3, 3, 2}, count_up(18));
    const Result<LoadedModel> model = load_model_bytes(file.bytes(), "m.h5");
    ASSERT_FALSE(model);
    EXPECT_NE(model.error().message.find("`kernel` has the shape (1, 2, 2)"), std::string::npos);
    EXPECT_NE(model.error().message.find(known ? "'block/b'" : "'block/a'"), std::string::npos);
    EXPECT_EQ(model.error().message.find("a .keras file would say") == std::string::npos, known);
  }
}

// Keras 2.12, its Windows variant, and names that disagree with the order of the layers.
TEST(ModelWeights, PathsByClass) {
  const std::string json = with_input(
      conv("a", R"(,"use_bias":false)") + "," +
      R"({"class_name":"Conv1D","config":{"name":"b","filters":2,"kernel_size":1,"use_bias":false}})");
  const std::string json_path = std::filesystem::temp_directory_path() / "convsmith_by_class.json";
  std::ofstream(json_path) << json;
  struct Case {
    const char* first;
    const char* second;
    bool swapped;
  };
  for (const Case& item :
       {Case{"layers/conv1d", "layers/conv1d_1", false},
        Case{"_layer_checkpoint_dependencies/conv1d", "_layer_checkpoint_dependencies/conv1d_1", false},
        Case{"_layer_checkpoint_dependencies\\conv1d", "_layer_checkpoint_dependencies\\conv1d_1", false},
        Case{"layers/conv1d_1", "layers/conv1d", true}}) {
    H5Writer file;
    file.dataset(std::string(item.first) + "/vars/0", {3, 3, 2}, count_up(18));
    file.dataset(std::string(item.second) + "/vars/0", {1, 2, 2}, count_up(4));
    file.dataset("optimizer/vars/0", {1}, {1});
    if (item.swapped) {
      file.fixed_text(std::string(item.first) + "/vars", "name", {"a"});
      file.fixed_text(std::string(item.second) + "/vars", "name", {"b"});
    }
    const std::string weights = std::filesystem::temp_directory_path() / "convsmith_by_class.weights.h5";
    std::ofstream(weights, std::ios::binary) << file.bytes();
    const Result<LoadedModel> loaded = load_model(json_path, {.weights_path = weights});
    ASSERT_TRUE(loaded.has_value()) << item.first << ": " << loaded.error().message;
    EXPECT_EQ(loaded->spec.layers[1].weights[0].data, count_up(18));
    EXPECT_EQ(loaded->spec.layers[2].weights[0].data, count_up(4));
    EXPECT_EQ(loaded->notes.size(), item.swapped ? 2U : 0U);
    std::filesystem::remove(weights);
  }
  std::filesystem::remove(json_path);
}

}  // namespace
}  // namespace convsmith

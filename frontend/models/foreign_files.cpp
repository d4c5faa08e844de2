#include "frontend/models/foreign_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "frontend/keras/json_value.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {
namespace {

// What a kind of file is, and the way out.
struct Foreign {
  std::string_view what;
  std::string_view cure;
};

constexpr std::string_view kSaveKeras = "In Python: keras.models.load_model(...).save('model.keras').";
constexpr Foreign kTfLite{
    "a TensorFlow Lite model, whose layers are compiled away",
    "Use the Keras model that it was converted from, and save that: model.save('model.keras')."};
constexpr Foreign kSavedModel{
    "a TensorFlow SavedModel, which holds a graph of operations and no layers",
    "With Keras 2, or tf_keras today: tf_keras.models.load_model(folder).save('model.h5')."};
constexpr Foreign kTorch{
    "PyTorch's",
    "It keeps weights without Keras's layers: build the model in Keras, copy the weights with "
    "set_weights (kernels transposed to (taps, channels, filters)), and save that: "
    "model.save('model.keras')."};
constexpr Foreign kSafetensors{"a file of safetensors, which holds arrays and no model",
                               "Build the model in Keras, copy the arrays with set_weights, and save that: "
                               "model.save('model.keras')."};
constexpr Foreign kOnnx{
    "an ONNX model",
    "Use the Keras model that it was exported from, and save that: model.save('model.keras')."};
constexpr Foreign kCoreMl{
    "a Core ML model",
    "Use the Keras model that it was converted from, and save that: model.save('model.keras')."};
constexpr Foreign kPickle{"a Python pickle, which runs code when it is loaded and is not read here",
                          "Load it in Python and save the Keras model in it: model.save('model.keras')."};
constexpr Foreign kCheckpoint{
    "a TensorFlow checkpoint, which holds weights and no layers",
    "In Python: build the model, model.load_weights(...), model.save('model.keras')."};
constexpr Foreign kArrays{"a file of arrays, which are data or weights and no model",
                          "Give it as --input or --weights, and the layer or model as SPEC."};
constexpr Foreign kData{"a data file and no model", "Give it as --input, and the layer or model as SPEC."};
constexpr Foreign kPython{"Python source, which is not run here",
                          "Run it, and save the model that it makes: model.save('model.keras')."};
constexpr Foreign kYaml{"a model in YAML, which Keras no longer reads either",
                        "With the Keras that wrote it: open('model.json', 'w').write(model.to_json())."};
constexpr Foreign kJs{"a model of TensorFlow.js",
                      "Use the Keras model that it was converted from, and save that: "
                      "model.save('model.keras')."};
constexpr Foreign kGguf{"a GGUF file, which holds arrays of a language model and no layers",
                        "Use the Keras model that it was converted from, and save that: "
                        "model.save('model.keras')."};
constexpr Foreign kLfs{"a pointer of git-lfs, not the file that it stands for",
                       "Fetch that in its repository: git lfs install, git lfs pull."};
constexpr Foreign kPage{"a page of HTML or XML, which a server may send in place of a file",
                        "Download it again: the address must be that of the file itself, and may need a "
                        "login."};
constexpr Foreign kEmpty{"empty",
                         "Save it again: the disk may have been full, or what wrote it was interrupted."};
constexpr Foreign kGzip{"a gzip file", "Unpack it (gunzip, or tar xzf), and give what comes out."};
constexpr Foreign kBzip2{"a bzip2 file", "Unpack it (bunzip2, or tar xjf), and give what comes out."};
constexpr Foreign kXz{"an xz file", "Unpack it (unxz, or tar xJf), and give what comes out."};
constexpr Foreign kZstd{"a zstd file", "Unpack it (unzstd), and give what comes out."};
constexpr Foreign kSevenZip{"a 7z archive", "Unpack it, and give what comes out."};
constexpr Foreign kTar{"a tar archive", "Unpack it (tar xf), and give what comes out."};
constexpr Foreign kZip{"a zip file without a config.json, so no Keras model", kSaveKeras};

struct BySuffix {
  std::string_view suffix;
  const Foreign* kind;
};
constexpr BySuffix kSuffixes[] = {
    {".tflite", &kTfLite},    {".lite", &kTfLite},       {".pb", &kSavedModel},
    {".pbtxt", &kSavedModel}, {".pt", &kTorch},          {".pth", &kTorch},
    {".ptl", &kTorch},        {".torchscript", &kTorch}, {".safetensors", &kSafetensors},
    {".onnx", &kOnnx},        {".ort", &kOnnx},          {".mlmodel", &kCoreMl},
    {".mlpackage", &kCoreMl}, {".pkl", &kPickle},        {".pickle", &kPickle},
    {".joblib", &kPickle},    {".ckpt", &kCheckpoint},   {".index", &kCheckpoint},
    {".npz", &kArrays},       {".npy", &kArrays},        {".csv", &kData},
    {".wav", &kData},         {".tsv", &kData},          {".txt", &kData},
    {".flac", &kData},        {".mp3", &kData},          {".parquet", &kData},
    {".mat", &kData},         {".edf", &kData},          {".py", &kPython},
    {".ipynb", &kPython},     {".yaml", &kYaml},         {".yml", &kYaml},
    {".bin", &kTorch},        {".gguf", &kGguf},
};

constexpr std::size_t kLookedAt = 4096;

bool has_member(std::string_view bytes, std::string_view name) {
  return bytes.find(name) != std::string_view::npos;
}

const Foreign* kind_of_zip(std::string_view bytes) {
  if (has_member(bytes, "data.pkl") || has_member(bytes, "/version") || has_member(bytes, "constants.pkl"))
    return &kTorch;
  if (has_member(bytes, ".npy")) return &kArrays;
  return has_member(bytes, "config.json") ? nullptr : &kZip;
}

struct ByFirstBytes {
  std::string_view bytes;
  const Foreign* kind;
};
constexpr ByFirstBytes kFirstBytes[] = {
    {"\x93NUMPY", &kArrays},
    {"RIFF", &kData},
    {"fLaC", &kData},
    {"ID3", &kData},
    {"\x1f\x8b", &kGzip},
    {"BZh", &kBzip2},
    {"\xfd\x37zXZ", &kXz},
    {"\x28\xb5\x2f\xfd", &kZstd},
    {"7z\xbc\xaf\x27\x1c", &kSevenZip},
    {"GGUF", &kGguf},
    {"version https://git-lfs.github.com/", &kLfs},
};

// Text that begins with a tag.
bool is_page(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  return bytes.starts_with('<');
}

const Foreign* kind_of_bytes(std::string_view bytes) {
  if (bytes.empty()) return &kEmpty;
  for (const ByFirstBytes& row : kFirstBytes)
    if (bytes.starts_with(row.bytes)) return row.kind;
  if (bytes.substr(std::min<std::size_t>(257, bytes.size())).starts_with("ustar")) return &kTar;
  if (bytes.substr(0, 4) == "TFL3" || bytes.substr(std::min<std::size_t>(4, bytes.size()), 4) == "TFL3")
    return &kTfLite;
  if (bytes.starts_with("PK\x03\x04")) return kind_of_zip(bytes);
  if (bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5)
    return has_member(bytes, "torch") || has_member(bytes, "\x8a\x0al\xfc\x9c") ? &kTorch : &kPickle;
  // The length of a header in JSON, then the header.
  if (bytes.size() > 9 && bytes.substr(4, 5) == std::string_view("\0\0\0\0{", 5)) return &kSafetensors;
  if (bytes.starts_with("\x08") && has_member(bytes, "\x12") &&
      (has_member(bytes, "pytorch") || has_member(bytes, "onnx") || has_member(bytes, "tf2onnx")))
    return &kOnnx;
  if (has_member(bytes, "saved_model_schema_version") || has_member(bytes, "serve\x12")) return &kSavedModel;
  for (const char* key : {"\"modelTopology\":", "\"modelTopology\" :", "\"weightsManifest\":"})
    if (has_member(bytes, key)) return &kJs;
  return is_page(bytes) ? &kPage : nullptr;
}

std::string lower_suffix(const std::string& path) {
  std::string suffix = std::filesystem::path(path).extension().string();
  for (char& c : suffix) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return suffix;
}

ForeignFile describe_as(const std::string& path, const Foreign& kind) {
  return {fmt::format("{} is {}.", quote(path), kind.what), std::string(kind.cure)};
}

}  // namespace

std::optional<ForeignFile> foreign_file(const std::string& path, std::string_view bytes) {
  if (const Foreign* kind = kind_of_bytes(bytes.substr(0, kLookedAt))) return describe_as(path, *kind);
  if (is_json_object(bytes)) return std::nullopt;
  const std::string suffix = lower_suffix(path);
  const auto* const found = std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                                         [&](const BySuffix& row) { return row.suffix == suffix; });
  if (found == std::end(kSuffixes)) return std::nullopt;
  return describe_as(path, *found->kind);
}

ForeignFile foreign_folder(const std::string& path) {
  const auto has = [&](const char* name) {
    std::error_code error;
    return std::filesystem::exists(std::filesystem::path(path) / name, error);
  };
  if (has("saved_model.pb") || has("saved_model.pbtxt")) return describe_as(path, kSavedModel);
  if (has("checkpoint")) return describe_as(path, kCheckpoint);
  if (has("model.json")) return describe_as(path, kJs);
  if (lower_suffix(path) == ".mlpackage") return describe_as(path, kCoreMl);
  if (has("config.json") && has("model.weights.h5")) {
    return {fmt::format("{} is a .keras file that was unpacked.", quote(path)),
            "Zip its members again, without a folder around them."};
  }
  if (has("kernel.npy") || has("depthwise_kernel.npy"))
    return {fmt::format("{} is a folder of weights.", quote(path)),
            "Give it as --weights, and the layer as SPEC."};
  return {fmt::format("{} is a folder.", quote(path)), "A model is a .keras, .h5 or .json file."};
}

}  // namespace convsmith

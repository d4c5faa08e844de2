// Arrays and the files that hold them. A Tensor is dense float32 in C order; its sizes are at least 0 and
// their product is data.size(). Readers trust nothing: no file, however it lies, makes them allocate more
// than its own size allows, and each refusal is one sentence that names the file. Used by run; the pieces
// below the first two functions are for weights and tests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/files.hpp"
#include "convsmith/error.hpp"
#include "convsmith/tensor.hpp"
#include "frontend/problem.hpp"

namespace convsmith::cli {

using convsmith::Tensor;

// "(4, 10, 128)"
std::string shape_text(const std::vector<int64_t>& shape);

// A signal as a file gives it. .csv and .wav are always (steps, channels).
struct Signal {
  Tensor tensor;
  int sample_rate = 0;             // .wav only
  std::vector<std::string> notes;  // whole sentences
};

enum class FileFormat { kNpy, kCsv, kWav };
// By suffix; an error names the option (for example "--input").
Result<FileFormat> format_of(const std::string& path, std::string_view option);

Result<Signal> read_signal(const std::string& path, FileFormat format);
// Atomic. For .csv and .wav the tensor is (steps, channels).
Result<void> write_signal(const std::string& path, FileFormat format, const Tensor& tensor, int sample_rate);

// The .npy format: '<f4' in C or Fortran order, versions 1 to 3.
class NpyReader {
 public:
  // Reads the header. The array must fill the source to its end.
  static Result<NpyReader> open(std::unique_ptr<ByteSource> source);
  const std::vector<int64_t>& shape() const { return shape_; }
  // Reads the array; to be called once.
  Result<Tensor> read();

 private:
  NpyReader(std::unique_ptr<ByteSource> source, std::vector<int64_t> shape, bool fortran_order)
      : source_(std::move(source)), shape_(std::move(shape)), fortran_order_(fortran_order) {}
  std::unique_ptr<ByteSource> source_;
  std::vector<int64_t> shape_;
  bool fortran_order_;
};
// The header and bytes of a .npy file, version 1 (2 where the header is long).
std::string npy_header(const std::vector<int64_t>& shape);

Result<Signal> parse_csv(std::string_view text, const std::string& name);
std::string csv_text(const Tensor& tensor);

Result<Signal> read_wav(const std::string& path);
Result<void> write_wav(int descriptor, const std::string& path, const Tensor& tensor, int sample_rate);

// The members of a .npz archive that are named, each at most once; others are refused.
struct NpzMembers {
  std::unique_ptr<ByteSource> kernel;  // kernel.npy; null: missing
  std::unique_ptr<ByteSource> bias;    // bias.npy
};
Result<NpzMembers> open_npz(const std::string& path);

// Weights of a layer from a .npz file or a folder with kernel.npy and bias.npy. Shapes are checked before
// arrays are read.
struct LayerWeights {
  std::vector<float> kernel;
  std::vector<float> bias;
};
Result<LayerWeights> read_weights(const std::string& path, const Problem& problem);

}  // namespace convsmith::cli

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

#include "cli/io/files.hpp"
#include "cli/io/npy_types.hpp"
#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith::cli {

using convsmith::Tensor;

// "(4, 10, 128)"
std::string shape_text(const std::vector<int64_t>& shape);

// kAny: the name does not say, the first bytes will.
enum class FileFormat { kNpy, kCsv, kWav, kAny };

// A signal as a file gives it. .csv and .wav are always (steps, channels).
struct Signal {
  Tensor tensor;
  FileFormat format = FileFormat::kNpy;
  int sample_rate = 0;                // .wav only
  std::vector<std::string> channels;  // names of the columns, of a .csv file that has them
  std::vector<std::string> notes;     // whole sentences
};

// By suffix; kAny for streams. An error names the option (for example "--input").
Result<FileFormat> format_of(const std::string& path, std::string_view option);

// A file and what to take of it: as typed, "x.npy", or with columns "x.csv:2", "x.csv:noisy,clean", "-:2".
// Columns are names of the first line, or numbers from 1.
struct SignalFile {
  std::string path;
  FileFormat format = FileFormat::kNpy;
  std::vector<std::string> columns;  // empty: all
};
// `format` wins over the name where it is not kAny. An error names the option.
Result<SignalFile> parse_signal_file(const std::string& typed, std::string_view option,
                                     FileFormat format = FileFormat::kAny);
// "a,'b,c'" as columns: a and b,c.
std::vector<std::string> split_columns(std::string_view text);

Result<Signal> read_signal(const SignalFile& file);
Result<Signal> read_signal(const std::string& path, FileFormat format);
// By write_file. For .csv and .wav the tensor is (steps, channels).
Result<void> write_signal(const std::string& path, FileFormat format, const Tensor& tensor, int sample_rate);

// The .npy format: floats, integers and bool in either byte order, in C or Fortran order, versions 1 to 3.
class NpyReader {
 public:
  // Reads the header. The array must fill the source to its end.
  static Result<NpyReader> open(std::unique_ptr<ByteSource> source);
  const std::vector<int64_t>& shape() const { return shape_; }
  // Reads the array, as float32; to be called once. A note where that changed numbers.
  Result<Signal> read();

 private:
  NpyReader(std::unique_ptr<ByteSource> source, ElementType type, std::vector<int64_t> shape,
            bool fortran_order)
      : source_(std::move(source)), type_(type), shape_(std::move(shape)), fortran_order_(fortran_order) {}
  std::unique_ptr<ByteSource> source_;
  ElementType type_;
  std::vector<int64_t> shape_;
  bool fortran_order_;
};
// The header and bytes of a .npy file, version 1 (2 where the header is long).
std::string npy_header(const std::vector<int64_t>& shape);

// As pandas reads it, but that a first line of numbers is data; docs/cli.md says it in words. Only the cells
// of the columns that are taken must be numbers.
Result<Signal> parse_csv(std::string_view text, const std::string& name,
                         const std::vector<std::string>& columns = {});
std::string csv_text(const Tensor& tensor);

Result<Signal> read_wav(ByteSource& source);
// What is against a (steps, channels) array of this shape as a .wav file; empty: nothing.
std::string wav_obstacle(const std::vector<int64_t>& shape);
// `path` is for messages.
Result<std::string> wav_bytes(const Tensor& tensor, int sample_rate, const std::string& path);

// The members of a .npz archive: for each list of names the one member that has one of them (without
// ".npy"), or null. Others are refused.
using Members = std::vector<std::unique_ptr<ByteSource>>;
Result<Members> open_npz(const std::string& path, const std::vector<std::vector<std::string>>& names);

// Weights of a layer from a .npz file or a folder, named as Keras names its variables (kernel.npy, bias.npy,
// depthwise_kernel.npy, pointwise_kernel.npy), or arr_0.npy and so on as numpy.savez(*get_weights()) does.
// Shapes are checked before arrays are read; numbers that had to be rounded are a note on standard error.
Result<std::vector<Tensor>> read_weights(const std::string& path, const std::vector<WeightShape>& shapes);

}  // namespace convsmith::cli

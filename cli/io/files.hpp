// Bytes from files and to files. Reading hands out bytes in order and never more than a file has; writing
// is atomic: a new file appears complete or not at all. What is no file but a stream (a pipe, a terminal, a
// device) is read to its end and written as it is. Used by the readers and writers of tensors, by load_spec
// and by every command that writes a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "frontend/base/utf8.hpp"

namespace convsmith::cli {

// A row of bytes with a known length: a file, a member of an archive, memory.
class ByteSource {
 public:
  ByteSource(std::string name, uint64_t size) : name_(std::move(name)), size_(size) {}
  virtual ~ByteSource() = default;
  // For messages.
  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  // Fills `bytes` with what follows, or says why not.
  virtual Result<void> read(std::span<std::byte> bytes) = 0;
  // The first bytes, up to 16, whatever has been read; empty where that can't be known.
  virtual std::string start() const { return {}; }

 private:
  std::string name_;
  uint64_t size_;
};

// "-", names such as /dev/stdin, and all that exists and is neither a file nor a folder.
bool is_stream(const std::string& path);
// "-", /dev/stdin or /dev/stdout and the like, by number.
bool is_standard_stream(const std::string& path, int descriptor);

// Errors (kInvalidData): missing, no regular file, not readable.
Result<std::unique_ptr<ByteSource>> open_file(const std::string& path);
// The same, and streams: they are waited for, and read to their end. "-" is standard input.
Result<std::unique_ptr<ByteSource>> open_file_or_stream(const std::string& path);
std::unique_ptr<ByteSource> open_memory(std::string name, std::vector<std::byte> bytes);

// All that is left of a source.
Result<std::string> read_all(ByteSource& source);

// A whole file of at most `max_bytes`.
Result<std::string> read_text(const std::string& path, uint64_t max_bytes);

// Whether write_file could write there, as far as can be known before: the folder exists, folder and older
// file may be written. To be asked before anything takes time. An error (kIo) begins with the option.
Result<void> check_output(std::string_view option, const std::string& path);

// `write` fills an open, empty file in the folder of `path`, which then takes that name. On any error
// (kIo, or write's own) nothing is left behind and an older file of that name stays as it was. Links are
// followed. What is a stream gets the bytes at once; "-" is standard output.
Result<void> write_file(const std::string& path, const std::function<Result<void>(int descriptor)>& write);
// All of it, or kIo.
Result<void> write_bytes(int descriptor, std::span<const std::byte> bytes, const std::string& path);

// A whole file, by write_file.
Result<void> write_text(const std::string& path, std::string_view text);

// Refuses (kInvalidData) what would need more memory than this machine has free, before it is asked for:
// the system grants first and ends the process later. `what` begins the sentence.
Result<void> check_memory(const std::string& what, double bytes);

// Foreign text as a message may show it: printable, at most 60 characters. Text of any length and alphabet:
// without_controls.
std::string printable(std::string_view text);

// ".npy" of "a/b.NPY": the suffix in small letters, empty without one.
std::string suffix_of(const std::string& path);

}  // namespace convsmith::cli

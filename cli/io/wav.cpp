// Sound files through libsndfile: (steps, channels) floats, integer samples scaled to [-1, 1).
#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <string_view>

#include "cli/io/npy_types.hpp"
#include "cli/io/tensor.hpp"

namespace convsmith::cli {
namespace {

constexpr int kMaxChannels = 1024;  // libsndfile's own limit

struct CloseSound {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using Sound = std::unique_ptr<SNDFILE, CloseSound>;

bool is_wav(int format) {
  const int major = format & SF_FORMAT_TYPEMASK;
  return major == SF_FORMAT_WAV || major == SF_FORMAT_WAVEX || major == SF_FORMAT_RF64;
}

// `bytes` as a number.
uint64_t number(std::string_view bytes, bool big_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[big_endian ? i : bytes.size() - 1 - i]);
  return value;
}

// What is wrong where the header promises samples beyond the end of the file, which libsndfile passes over;
// empty for a file that is whole or that does not say, as streams don't.
std::string find_truncation(std::string_view file) {
  constexpr uint64_t kUnknown = 0xffffffff;
  const bool big_endian = file.starts_with("RIFX");
  uint64_t long_size = kUnknown;
  for (uint64_t at = 12; at + 8 <= file.size();) {
    const std::string_view name = file.substr(at, 4);
    uint64_t length = number(file.substr(at + 4, 4), big_endian);
    at += 8;
    if (name == "data") {
      if (length == kUnknown) length = long_size;
      if (length == kUnknown || length <= file.size() - at) return {};
      return fmt::format("its header promises {} bytes of samples, and {} are there", length,
                         file.size() - at);
    }
    if (name == "ds64" && at + 16 <= file.size()) long_size = number(file.substr(at + 8, 8), false);
    at += length + length % 2;
  }
  return "it ends before its samples begin";
}

// A file in memory, as libsndfile reads and writes it.
struct SoundBytes {
  std::string bytes;
  sf_count_t at = 0;
};

SoundBytes& sound_bytes(void* user) {
  return *static_cast<SoundBytes*>(user);
}

sf_count_t sound_size(void* user) {
  return static_cast<sf_count_t>(sound_bytes(user).bytes.size());
}

sf_count_t seek_sound(sf_count_t offset, int whence, void* user) {
  SoundBytes& file = sound_bytes(user);
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.at : sound_size(user);
  file.at = std::clamp<sf_count_t>(base + offset, 0, sound_size(user));
  return file.at;
}

sf_count_t read_sound(void* to, sf_count_t count, void* user) {
  SoundBytes& file = sound_bytes(user);
  const auto copied = static_cast<size_t>(std::min(count, sound_size(user) - file.at));
  std::copy_n(file.bytes.data() + file.at, copied, static_cast<char*>(to));
  file.at += static_cast<sf_count_t>(copied);
  return static_cast<sf_count_t>(copied);
}

sf_count_t write_sound(const void* from, sf_count_t count, void* user) {
  SoundBytes& file = sound_bytes(user);
  const auto size = static_cast<size_t>(count);
  file.bytes.resize(std::max(file.bytes.size(), static_cast<size_t>(file.at) + size));
  std::copy_n(static_cast<const char*>(from), size, file.bytes.data() + file.at);
  file.at += count;
  return count;
}

sf_count_t tell_sound(void* user) {
  return sound_bytes(user).at;
}

SF_VIRTUAL_IO kInMemory = {sound_size, seek_sound, read_sound, write_sound, tell_sound};

}  // namespace

Result<Signal> read_wav(ByteSource& source) {
  const auto refuse = [&](const std::string& what) {
    return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", source.name(), what));
  };
  Result<std::string> text = read_all(source);
  if (!text) return tl::unexpected(text.error());
  SoundBytes file{std::move(*text)};
  SF_INFO info{};
  const Sound sound(sf_open_virtual(&kInMemory, SFM_READ, &info, &file));
  if (sound == nullptr) return refuse(fmt::format("it is no readable .wav file ({})", sf_strerror(nullptr)));
  if (!is_wav(info.format)) return refuse("it is a sound file, but no .wav file");
  if (info.channels < 1 || info.channels > kMaxChannels) {
    return refuse(fmt::format("it has {} channels; from 1 to {} are read", info.channels, kMaxChannels));
  }
  if (const std::string what = find_truncation(file.bytes); !what.empty()) return refuse(what);
  // The header's number of frames may be a lie: the array grows with what is really there.
  constexpr sf_count_t kFrames = 4096;
  const auto channels = static_cast<size_t>(info.channels);
  std::vector<double> block(static_cast<size_t>(kFrames) * channels);
  Signal signal;
  signal.tensor.shape = {0, info.channels};
  signal.format = FileFormat::kWav;
  signal.sample_rate = info.samplerate;
  Rounding rounding;
  while (true) {
    const sf_count_t frames = sf_readf_double(sound.get(), block.data(), kFrames);
    if (frames <= 0) break;
    const size_t count = static_cast<size_t>(frames) * channels;
    const size_t before = signal.tensor.data.size();
    signal.tensor.data.resize(before + count);
    to_floats({.kind = 'f', .bytes = sizeof(double)}, std::as_bytes(std::span(block).first(count)),
              std::span(signal.tensor.data).subspan(before), rounding);
    signal.tensor.shape[0] += frames;
  }
  if (sf_error(sound.get()) != SF_ERR_NO_ERROR) {
    return refuse(fmt::format("it can't be read to its end ({})", sf_strerror(sound.get())));
  }
  if (signal.tensor.shape[0] < info.frames) {
    return refuse(fmt::format("it ends after {} of {} frames", signal.tensor.shape[0], info.frames));
  }
  if (auto note = rounding_note(source.name(), "finer samples", signal.tensor.data.size(), rounding))
    signal.notes.push_back(std::move(*note));
  return signal;
}

std::string wav_obstacle(const std::vector<int64_t>& shape) {
  if (shape[1] > kMaxChannels)
    return fmt::format("a .wav file holds at most {} channels, and there are {}", kMaxChannels, shape[1]);
  const double bytes = static_cast<double>(shape[0]) * static_cast<double>(shape[1]) * sizeof(float);
  return bytes < 0xffffffff - 1024.0 ? "" : "a .wav file holds less than 4 GiB";
}

Result<std::string> wav_bytes(const Tensor& tensor, int sample_rate, const std::string& path) {
  const auto refuse = [&](const std::string& what) {
    return make_error(ErrorCode::kIo, fmt::format("The output {} can't be written: {}.", path, what));
  };
  if (const std::string what = wav_obstacle(tensor.shape); !what.empty()) return refuse(what);
  SoundBytes file;
  SF_INFO info{};
  info.channels = static_cast<int>(tensor.shape[1]);
  info.samplerate = sample_rate;
  info.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT;  // values beyond [-1, 1] stay as they are
  Sound sound(sf_open_virtual(&kInMemory, SFM_WRITE, &info, &file));
  if (sound == nullptr) return refuse(sf_strerror(nullptr));
  // The peak chunk holds the time of day; the same result shall be the same file.
  sf_command(sound.get(), SFC_SET_ADD_PEAK_CHUNK, nullptr, SF_FALSE);
  const sf_count_t frames = tensor.shape[0];
  if (sf_writef_float(sound.get(), tensor.data.data(), frames) != frames)
    return refuse(sf_strerror(sound.get()));
  if (sf_close(sound.release()) != 0) return refuse("the file could not be completed");
  return std::move(file.bytes);
}

}  // namespace convsmith::cli

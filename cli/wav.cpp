// Sound files through libsndfile: (steps, channels) floats, integer samples scaled to [-1, 1).
#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>

#include "cli/tensor.hpp"

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
std::string find_truncation(const std::string& path) {
  constexpr uint64_t kUnknown = 0xffffffff;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = static_cast<uint64_t>(std::max<std::streamoff>(file.tellg(), 0));
  char head[24] = {};
  file.seekg(0).read(head, 12);
  const bool big_endian = std::string_view(head, 4) == "RIFX";
  uint64_t long_size = kUnknown;
  for (uint64_t at = 12; at + 8 <= size;) {
    if (!file.seekg(static_cast<std::streamoff>(at)).read(head, 8)) break;
    const std::string_view name(head, 4);
    uint64_t length = number({head + 4, 4}, big_endian);
    at += 8;
    if (name == "data") {
      if (length == kUnknown) length = long_size;
      if (length == kUnknown || length <= size - at) return {};
      return fmt::format("its header promises {} bytes of samples, and {} are there", length, size - at);
    }
    if (name == "ds64" && file.read(head + 8, 16)) long_size = number({head + 16, 8}, false);
    at += length + length % 2;
  }
  return "it ends before its samples begin";
}

}  // namespace

Result<Signal> read_wav(const std::string& path) {
  const auto refuse = [&](const std::string& what) {
    return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", path, what));
  };
  // Gives the sentence for what is missing or no regular file.
  if (const auto file = open_file(path); !file) return tl::unexpected(file.error());
  SF_INFO info{};
  const Sound sound(sf_open(path.c_str(), SFM_READ, &info));
  if (sound == nullptr) return refuse(fmt::format("it is no readable .wav file ({})", sf_strerror(nullptr)));
  if (!is_wav(info.format)) return refuse("it is a sound file, but no .wav file");
  if (info.channels < 1 || info.channels > kMaxChannels) {
    return refuse(fmt::format("it has {} channels; from 1 to {} are read", info.channels, kMaxChannels));
  }
  if (const std::string what = find_truncation(path); !what.empty()) return refuse(what);
  // The header's number of frames may be a lie: the array grows with what is really there.
  constexpr sf_count_t kFrames = 4096;
  const auto channels = static_cast<size_t>(info.channels);
  std::vector<float> block(static_cast<size_t>(kFrames) * channels);
  Signal signal{.tensor = {{0, info.channels}, {}}, .sample_rate = info.samplerate, .notes = {}};
  while (true) {
    const sf_count_t frames = sf_readf_float(sound.get(), block.data(), kFrames);
    if (frames <= 0) break;
    const size_t count = static_cast<size_t>(frames) * channels;
    signal.tensor.data.insert(signal.tensor.data.end(), block.begin(),
                              block.begin() + static_cast<std::ptrdiff_t>(count));
    signal.tensor.shape[0] += frames;
  }
  if (sf_error(sound.get()) != SF_ERR_NO_ERROR) {
    return refuse(fmt::format("it can't be read to its end ({})", sf_strerror(sound.get())));
  }
  if (signal.tensor.shape[0] < info.frames) {
    return refuse(fmt::format("it ends after {} of {} frames", signal.tensor.shape[0], info.frames));
  }
  return signal;
}

Result<void> write_wav(int descriptor, const std::string& path, const Tensor& tensor, int sample_rate) {
  const auto refuse = [&](const std::string& what) {
    return make_error(ErrorCode::kIo, fmt::format("The output {} can't be written: {}.", path, what));
  };
  if (tensor.shape[1] > kMaxChannels) {
    return refuse(fmt::format("a .wav file holds at most {} channels, and there are {}", kMaxChannels,
                              tensor.shape[1]));
  }
  if (tensor.data.size() > std::numeric_limits<uint32_t>::max() / sizeof(float) - 1024) {
    return refuse("a .wav file holds less than 4 GiB");
  }
  SF_INFO info{};
  info.channels = static_cast<int>(tensor.shape[1]);
  info.samplerate = sample_rate;
  info.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT;  // values beyond [-1, 1] stay as they are
  Sound sound(sf_open_fd(descriptor, SFM_WRITE, &info, SF_FALSE));
  if (sound == nullptr) return refuse(sf_strerror(nullptr));
  // The peak chunk holds the time of day; the same result shall be the same file.
  sf_command(sound.get(), SFC_SET_ADD_PEAK_CHUNK, nullptr, SF_FALSE);
  const sf_count_t frames = tensor.shape[0];
  if (sf_writef_float(sound.get(), tensor.data.data(), frames) != frames)
    return refuse(sf_strerror(sound.get()));
  if (sf_close(sound.release()) != 0) return refuse("the file could not be completed");
  return {};
}

}  // namespace convsmith::cli

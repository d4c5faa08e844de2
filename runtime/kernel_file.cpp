#include "runtime/kernel_file.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <cstring>
#include <type_traits>

namespace convsmith {

namespace {

constexpr std::array<char, 8> kMagic = {'c', 'o', 'n', 'v', 'k', 'r', 'n', '\n'};
constexpr uint32_t kVersion = 1;  // of the header

using Refused = tl::unexpected<std::string_view>;

struct Hash {
  uint64_t low;
  uint64_t high;
  bool operator==(const Hash&) const = default;
};

Hash hash_of(const void* bytes, size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size);
  return {hash.low64, hash.high64};
}

Hash hash_of(const std::string& text) {
  return hash_of(text.data(), text.size());
}

struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t isa;
  Hash build;
  uint64_t key_bytes;
  uint64_t code_bytes;
  uint64_t entry;
  int64_t weights[5];  // PackLayout, in its order
  int64_t weights_have_bias;
  int64_t weights_are_groups;
  int64_t blocks[3];  // ParallelBlocks, in its order
  int64_t tile_steps;
  int64_t scratch_bytes;
};
static_assert(std::has_unique_object_representations_v<Header>, "padding would be written as it is found");

Header header_of(const KernelFileId& id, const CompiledKernel& kernel) {
  const ir::PackLayout& w = kernel.weights;
  const Kernel::Code code = kernel.kernel->code();
  return {.magic = kMagic,
          .version = kVersion,
          .isa = static_cast<uint32_t>(id.isa),
          .build = hash_of(id.build),
          .key_bytes = id.key.size(),
          .code_bytes = code.bytes.size(),
          .entry = code.entry,
          .weights = {w.outer, w.units, w.block, w.pad, w.rows},
          .weights_have_bias = w.has_bias,
          .weights_are_groups = w.units_are_groups,
          .blocks = {static_cast<int64_t>(kernel.blocks.dim), kernel.blocks.step, kernel.blocks.count},
          .tile_steps = kernel.tile_steps,
          .scratch_bytes = kernel.scratch_bytes};
}

CompiledKernel kernel_of(const Header& h, const KernelFileId& id) {
  CompiledKernel kernel;
  kernel.backend = id.backend;
  kernel.isa = id.isa;
  kernel.weights = {h.weights[0],
                    h.weights[1],
                    h.weights[2],
                    h.weights[3],
                    h.weights[4],
                    h.weights_have_bias != 0,
                    h.weights_are_groups != 0};
  kernel.blocks = {static_cast<ir::Dim>(h.blocks[0]), h.blocks[1], h.blocks[2]};
  kernel.tile_steps = h.tile_steps;
  kernel.scratch_bytes = h.scratch_bytes;
  return kernel;
}

// Returns where the next bytes go.
uint8_t* put(uint8_t* to, const void* data, size_t size) {
  std::memcpy(to, data, size);
  return to + size;
}

}  // namespace

std::string KernelFileId::file_name() const {
  const Hash hash = hash_of(build + '\n' + key);
  return fmt::format("{:016x}{:016x}.kernel", hash.high, hash.low);
}

std::vector<uint8_t> write_kernel_file(const KernelFileId& id, const CompiledKernel& kernel) {
  const Header header = header_of(id, kernel);
  const std::span<const uint8_t> code = kernel.kernel->code().bytes;
  std::vector<uint8_t> file(sizeof header + id.key.size() + code.size() + sizeof(Hash));
  uint8_t* to = put(file.data(), &header, sizeof header);
  to = put(to, id.key.data(), id.key.size());
  to = put(to, code.data(), code.size());
  const Hash hash = hash_of(file.data(), static_cast<size_t>(to - file.data()));
  put(to, &hash, sizeof hash);
  return file;
}

tl::expected<KernelFile, std::string_view> read_kernel_file(std::span<const uint8_t> file,
                                                            const KernelFileId& id) {
  Header header;
  Hash hash;
  if (file.size() < sizeof header + sizeof hash) return Refused("is too short");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.magic != kMagic) return Refused("is no kernel of convsmith");
  if (header.version != kVersion) return Refused("has a format of another version");
  if (header.build != hash_of(id.build)) return Refused("was written by another build");
  if (header.isa != static_cast<uint32_t>(id.isa)) return Refused("is for another instruction set");
  const size_t rest = file.size() - sizeof header - sizeof hash;
  if (header.key_bytes > rest || header.code_bytes != rest - header.key_bytes)
    return Refused("has not the length that its header says");
  std::memcpy(&hash, file.data() + sizeof header + rest, sizeof hash);
  if (hash != hash_of(file.data(), sizeof header + rest)) return Refused("has a wrong checksum");
  if (id.key !=
      std::string_view(reinterpret_cast<const char*>(file.data() + sizeof header), header.key_bytes))
    return Refused("holds another kernel");
  if (header.entry >= header.code_bytes) return Refused("has no code where it should begin");
  return KernelFile{kernel_of(header, id), file.subspan(sizeof header + header.key_bytes, header.code_bytes),
                    header.entry};
}

}  // namespace convsmith

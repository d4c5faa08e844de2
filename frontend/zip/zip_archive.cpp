#include "frontend/zip/zip_archive.hpp"

#include <unzip.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace convsmith {
namespace {

// A file in memory, as minizip wants to read it.
struct Memory {
  std::string_view bytes;
  uint64_t at = 0;
  bool has_ended = false;  // something beyond the end was asked for
};

uLong read_memory(voidpf opaque, voidpf /*stream*/, void* to, uLong size) {
  auto& memory = *static_cast<Memory*>(opaque);
  const uint64_t count = std::min<uint64_t>(size, memory.bytes.size() - memory.at);
  if (count > 0) std::memcpy(to, memory.bytes.data() + memory.at, count);
  memory.at += count;
  memory.has_ended = memory.has_ended || count < size;
  return static_cast<uLong>(count);
}

long seek_memory(voidpf opaque, voidpf /*stream*/, ZPOS64_T offset, int origin) {
  auto& memory = *static_cast<Memory*>(opaque);
  const uint64_t base = origin == ZLIB_FILEFUNC_SEEK_CUR   ? memory.at
                        : origin == ZLIB_FILEFUNC_SEEK_END ? memory.bytes.size()
                                                           : 0;
  if (offset > memory.bytes.size() - base) return -1;
  memory.at = base + offset;
  return 0;
}

zlib_filefunc64_def functions_of(Memory& memory) {
  zlib_filefunc64_def functions{};
  functions.zopen64_file = [](voidpf opaque, const void*, int) { return opaque; };
  functions.zread_file = read_memory;
  functions.ztell64_file = [](voidpf opaque, voidpf) -> ZPOS64_T { return static_cast<Memory*>(opaque)->at; };
  functions.zseek64_file = seek_memory;
  functions.zclose_file = [](voidpf, voidpf) { return 0; };
  // minizip takes the end of the file for zeros, unless it counts as an error.
  functions.zerror_file = [](voidpf opaque, voidpf) {
    return static_cast<Memory*>(opaque)->has_ended ? 1 : 0;
  };
  functions.opaque = &memory;
  return functions;
}

}  // namespace

struct ZipArchive::Handle {
  Memory memory;
  unzFile zip = nullptr;
  uint64_t left = 0;  // of the open member, by the directory
  ~Handle() {
    if (zip == nullptr) return;
    unzCloseCurrentFile(zip);
    unzClose(zip);
  }
};

std::optional<ZipArchive> ZipArchive::open_bytes(std::string_view bytes) {
  auto handle = std::make_shared<Handle>();
  handle->memory.bytes = bytes;
  zlib_filefunc64_def functions = functions_of(handle->memory);
  handle->zip = unzOpen2_64("", &functions);
  return handle->zip == nullptr ? std::nullopt : std::optional(ZipArchive(std::move(handle)));
}

std::optional<ZipArchive> ZipArchive::open_file(const std::string& path) {
  auto handle = std::make_shared<Handle>();
  zlib_filefunc64_def functions{};
  fill_fopen64_filefunc(&functions);
  functions.zerror_file = [](voidpf, voidpf stream) {
    auto* const file = static_cast<std::FILE*>(stream);
    return std::feof(file) != 0 || std::ferror(file) != 0 ? 1 : 0;
  };
  handle->zip = unzOpen2_64(path.c_str(), &functions);
  return handle->zip == nullptr ? std::nullopt : std::optional(ZipArchive(std::move(handle)));
}

std::optional<std::vector<ZipMember>> ZipArchive::members() {
  std::vector<ZipMember> out;
  const unzFile zip = handle_->zip;
  unz_global_info64 global{};
  if (unzGetGlobalInfo64(zip, &global) != UNZ_OK) return std::nullopt;
  if (global.number_entry == 0) return out;
  std::vector<char> name(std::size_t{1} << 16);  // longer ones can't be written down
  int state = unzGoToFirstFile(zip);
  for (; state == UNZ_OK; state = unzGoToNextFile(zip)) {
    unz_file_info64 info{};
    unz64_file_pos position{};
    if (unzGetCurrentFileInfo64(zip, &info, name.data(), name.size(), nullptr, 0, nullptr, 0) != UNZ_OK ||
        unzGetFilePos64(zip, &position) != UNZ_OK)
      return std::nullopt;
    if (info.size_filename > name.size()) return std::nullopt;
    out.push_back({std::string(name.data(), info.size_filename), info.uncompressed_size, info.compressed_size,
                   info.compression_method, (info.flag & 1) != 0, position.pos_in_zip_directory,
                   position.num_of_file});
  }
  return state == UNZ_END_OF_LIST_OF_FILE ? std::optional(std::move(out)) : std::nullopt;
}

bool ZipArchive::open(const ZipMember& member) {
  const unz64_file_pos position{member.place, member.number};
  handle_->left = member.size;
  return unzGoToFilePos64(handle_->zip, &position) == UNZ_OK && unzOpenCurrentFile(handle_->zip) == UNZ_OK;
}

std::optional<uint64_t> ZipArchive::read(void* to, uint64_t size) {
  constexpr uint64_t kMost = uint64_t{1} << 30;  // minizip counts with 32 bits
  uint64_t done = 0;
  while (done < size) {
    const auto part = static_cast<unsigned>(std::min(size - done, kMost));
    const int count = unzReadCurrentFile(handle_->zip, static_cast<std::byte*>(to) + done, part);
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    done += static_cast<uint64_t>(count);
  }
  handle_->left -= std::min(done, handle_->left);
  return done;
}

bool ZipArchive::close() {
  return unzCloseCurrentFile(handle_->zip) == UNZ_OK && handle_->left == 0;
}

}  // namespace convsmith

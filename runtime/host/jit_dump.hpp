// A jitdump file (Linux: tools/perf/Documentation/jitdump-specification.txt): the code of each kernel with
// its name, address and time, from which `perf inject --jit` makes objects that `perf annotate` can show.
// Called by jit_events, under its lock.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "runtime/host/private_folder.hpp"

namespace convsmith {

class JitDump {
 public:
  // Makes jit-PID.dump. The error is a sentence.
  static tl::expected<JitDump, std::string> open(pid_t process);
  JitDump(JitDump&& other) noexcept;
  ~JitDump();

  // False, with errno, where the file can't be written.
  bool add(const std::string& name, std::span<const uint8_t> code);

 private:
  JitDump(Descriptor file, void* marker, pid_t process);

  Descriptor file_;
  void* marker_;  // a page of the file, mapped for execution: so perf hears of the file
  pid_t process_;
  uint64_t index_ = 0;
};

}  // namespace convsmith

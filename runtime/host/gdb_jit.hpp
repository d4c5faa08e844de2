// GDB's interface for JIT compilers, whose names and layouts GDB prescribes (its manual, "JIT Compilation
// Interface"): a list of ELF objects in memory, and a function on which GDB sets a breakpoint to hear of
// changes. Called by jit_events, under its lock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

extern "C" {

struct jit_code_entry {
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};

struct jit_descriptor {
  uint32_t version;
  uint32_t action_flag;  // 0: nothing, 1: registered, 2: about to go
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};

// Ours where another compiler in the same library defines them too: its list is then also ours.
extern jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code();
}

namespace convsmith {

struct GdbEntry {
  jit_code_entry entry{};
  std::vector<uint8_t> object;
};

// `code` is a function where it runs.
std::unique_ptr<GdbEntry> register_with_gdb(const std::string& name, std::span<const uint8_t> code);
void unregister_with_gdb(std::unique_ptr<GdbEntry> entry);

}  // namespace convsmith

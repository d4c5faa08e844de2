#include "runtime/host/gdb_jit.hpp"

#include <elf.h>

#include "codegen/object/elf_object.hpp"
#include "runtime/host/host_elf.hpp"

extern "C" {

// Weak: a program may link another JIT compiler with the same names. Hidden, as all that is not marked: each
// shared library has its own, and GDB looks at all of them.
__attribute__((weak, used, visibility("protected")))
jit_descriptor __jit_debug_descriptor = {1, 0, nullptr, nullptr};
__attribute__((weak, used, noinline)) void __jit_debug_register_code() {
  asm volatile("" ::: "memory");
}
}

namespace convsmith {

namespace {

enum : uint32_t { kNothing, kRegister, kUnregister };

void tell_gdb(uint32_t action, jit_code_entry* entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = entry;
  __jit_debug_register_code();
  __jit_debug_descriptor.action_flag = kNothing;
  __jit_debug_descriptor.relevant_entry = nullptr;
}

}  // namespace

std::unique_ptr<GdbEntry> register_with_gdb(const std::string& name, std::span<const uint8_t> code) {
  object::Object object{};
  object.machine = kHostElfMachine;
  object.text.assign(code.begin(), code.end());
  object.text_address = reinterpret_cast<uintptr_t>(code.data());
  object.symbols.push_back(
      {name, object::Section::kText, 0, code.size(), /*global=*/true, /*function=*/true});
  auto known = std::make_unique<GdbEntry>();
  known->object = object::write_elf(object);
  known->entry.symfile_addr = reinterpret_cast<const char*>(known->object.data());
  known->entry.symfile_size = known->object.size();
  known->entry.next_entry = __jit_debug_descriptor.first_entry;
  if (known->entry.next_entry != nullptr) known->entry.next_entry->prev_entry = &known->entry;
  __jit_debug_descriptor.first_entry = &known->entry;
  tell_gdb(kRegister, &known->entry);
  return known;
}

void unregister_with_gdb(std::unique_ptr<GdbEntry> known) {
  jit_code_entry& entry = known->entry;
  if (entry.next_entry != nullptr) entry.next_entry->prev_entry = entry.prev_entry;
  (entry.prev_entry != nullptr ? entry.prev_entry->next_entry : __jit_debug_descriptor.first_entry) =
      entry.next_entry;
  tell_gdb(kUnregister, &entry);
}

}  // namespace convsmith

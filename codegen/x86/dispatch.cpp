#include "codegen/x86/dispatch.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "codegen/x86/emitter.hpp"
#include "codegen/x86/unwind.hpp"

namespace convsmith::x86 {

namespace {

constexpr uint32_t kNoVariant = 255;

class Dispatcher {
 public:
  Dispatcher(std::span<const Entry> entries, std::span<const Isa> isas)
      : entries_(entries),
        isas_(isas.begin(), isas.end()),
        code_(1024 + entries.size() * 256),
        e_(code_, target_for(Isa::kAvx2)) {
    std::sort(isas_.begin(), isas_.end(), std::greater<>());
  }

  CodeImage run() {
    std::vector<size_t> begins;
    for (const Entry& entry : entries_) {
      e_.align(16);
      begins.push_back(e_.getSize());
      jump_to_variant(entry);
    }
    e_.align(16);
    begins.push_back(e_.getSize());
    const std::vector<FrameStep> steps = detect();
    e_.finish();
    CodeImage image;
    std::vector<MachineCode> codes(begins.size());
    for (size_t i = 0; i < begins.size(); ++i) {
      const size_t end = i + 1 < begins.size() ? begins[i + 1] : e_.getSize();
      image.functions.push_back({begins[i], end - begins[i]});
    }
    codes.back().frame = steps;
    for (FrameStep& step : codes.back().frame) step.offset -= static_cast<uint32_t>(begins.back());
    image.unwind = unwind_table(codes, image.functions);
    for (NameReference& name : e_.take_names())
      image.references.push_back({name.offset, std::move(name.name), R_X86_64_PC32, -4});
    image.bytes = std::move(code_);
    return image;
  }

 private:
  // rax, r10 and r11 are the callee's; the others may hold parameters.
  void jump_to_variant(const Entry& entry) {
    e_.endbr64();
    Xbyak::Label known;
    const std::string word(kVariantWord);
    e_.address_of(e_.r10, word);
    e_.mov(e_.eax, e_.dword[e_.r10]);
    e_.test(e_.eax, e_.eax);
    e_.jnz(known);
    e_.call(detect_);
    e_.L(known);
    for (size_t i = 0; i < isas_.size(); ++i) {
      Xbyak::Label next;
      e_.cmp(e_.eax, static_cast<uint32_t>(i + 1));
      e_.jne(next);
      e_.address_of(e_.r10, variant_name(entry.name, isas_[i]));
      e_.jmp(e_.r10);
      e_.L(next);
    }
    if (entry.data.empty()) {
      e_.mov(e_.rax, static_cast<uint64_t>(entry.without));
    } else {
      e_.address_of(e_.rax, std::string(entry.data));
    }
    e_.ret();
  }

  // What detect_isa() asks for, at the same bits of CPUID and XCR0 (Intel SDM volume 1, 14.3 and 15.2). r10
  // holds the address of the word. Gives the number of the best variant, and keeps it there.
  std::vector<FrameStep> detect() {
    std::vector<FrameStep> steps;
    int32_t distance = 8;
    e_.L(detect_);
    for (const Xbyak::Reg64* reg : {&e_.rbx, &e_.rcx, &e_.rdx, &e_.r8, &e_.r9}) {
      e_.push(*reg);
      distance += 8;
      // Only rbx must come back to callers further up.
      steps.push_back({e_.position(), distance, reg == &e_.rbx ? 3 : -1});
    }
    Xbyak::Label found;
    e_.xor_(e_.r8d, e_.r8d);  // the level: 0 baseline, 1 AVX2, 2 AVX-512
    e_.xor_(e_.eax, e_.eax);
    e_.cpuid();
    e_.cmp(e_.eax, 7);
    e_.jb(found);
    e_.mov(e_.eax, 1);
    e_.cpuid();
    constexpr uint32_t kFmaSaveAvx = 1u << 12 | 1u << 27 | 1u << 28;
    require(e_.ecx, kFmaSaveAvx, found);
    e_.xor_(e_.ecx, e_.ecx);
    e_.xgetbv();
    e_.mov(e_.r9d, e_.eax);
    require(e_.eax, 0x6, found);  // the system saves YMM
    e_.mov(e_.eax, 7);
    e_.xor_(e_.ecx, e_.ecx);
    e_.cpuid();
    e_.mov(e_.eax, e_.ebx);
    require(e_.eax, 1u << 5 | 1u << 8, found);  // AVX2, BMI2
    e_.inc(e_.r8d);
    require(e_.r9d, 0xe6, found);                                       // and ZMM
    require(e_.ebx, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, found);  // F, DQ, BW, VL
    e_.inc(e_.r8d);
    e_.L(found);
    e_.mov(e_.eax, kNoVariant);
    for (size_t i = isas_.size(); i-- > 0;) {  // best last
      Xbyak::Label next;
      e_.cmp(e_.r8d, static_cast<uint32_t>(isas_[i]) - static_cast<uint32_t>(Isa::kBaseline));
      e_.jb(next);
      e_.mov(e_.eax, static_cast<uint32_t>(i + 1));
      e_.L(next);
    }
    e_.mov(e_.dword[e_.r10], e_.eax);
    for (const Xbyak::Reg64* reg : {&e_.r9, &e_.r8, &e_.rdx, &e_.rcx, &e_.rbx}) {
      e_.pop(*reg);
      steps.push_back({e_.position(), distance -= 8});
    }
    e_.ret();
    return steps;
  }

  void require(const Xbyak::Reg32& r, uint32_t bits, const Xbyak::Label& otherwise) {
    e_.and_(r, bits);
    e_.cmp(r, bits);
    e_.jne(otherwise, Xbyak::CodeGenerator::T_NEAR);
  }

  std::span<const Entry> entries_;
  std::vector<Isa> isas_;
  std::vector<uint8_t> code_;
  Emitter e_;
  Xbyak::Label detect_;
};

}  // namespace

std::string variant_name(std::string_view function, Isa isa) {
  return std::string(function) + "." + std::string(target_for(isa).name);
}

CodeImage dispatch(std::span<const Entry> entries, std::span<const Isa> isas) {
  return Dispatcher(entries, isas).run();
}

}  // namespace convsmith::x86

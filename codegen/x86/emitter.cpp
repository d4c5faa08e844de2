#include "codegen/x86/emitter.hpp"

#include <algorithm>

#include "frontend/base/check.hpp"

namespace convsmith::x86 {

Emitter::Jump Emitter::jump_forward(Condition condition) {
  db(0x0f);
  db(0x80 | condition);
  dd(0);
  return position();
}

void Emitter::bind(Jump jump) {
  rewrite(jump - 4, position() - jump, 4);
}

void Emitter::jump_back(Condition condition, uint32_t target) {
  constexpr uint32_t kShortBytes = 2;
  constexpr uint32_t kNearBytes = 6;
  const uint32_t distance = position() - target;
  if (distance + kShortBytes <= 128) {
    db(0x70 | condition);
    db(static_cast<int>(0x100 - (distance + kShortBytes)));
  } else {
    db(0x0f);
    db(0x80 | condition);
    dd(0 - (distance + kNearBytes));
  }
}

void Emitter::align_loop() {
  constexpr size_t kLoopAlignment = 32;
  nop((kLoopAlignment - getSize() % kLoopAlignment) % kLoopAlignment);
}

void Emitter::grow(size_t bytes) {
  code_.resize(2 * code_.size() + bytes);
  top_ = code_.data();
  maxSize_ = code_.size();
}

void Emitter::refer_to(ConstantKind kind, uint64_t value) {
  auto it = std::find_if(constants_.begin(), constants_.end(),
                         [&](const Constant& c) { return c.value == value && c.kind == kind; });
  if (it == constants_.end()) it = constants_.insert(it, {kind, value, 0});
  references_.push_back({static_cast<uint32_t>(it - constants_.begin()), 0, 0});
}

Xbyak::Address Emitter::constant(ConstantKind kind, uint64_t value, bool broadcast) {
  refer_to(kind, value);
  const Xbyak::RegRip address;
  switch (kind) {
    case ConstantKind::kVector:
    case ConstantKind::kLanes:
      return yword[address];
    case ConstantKind::kQuad:
      return qword[address];
    case ConstantKind::kWord:
      break;
  }
  return broadcast ? ptr_b[address] : dword[address];
}

void Emitter::constant_used(int immediate_bytes) {
  references_.back().end = position();
  references_.back().displacement = position() - static_cast<uint32_t>(immediate_bytes) - 4;
}

void Emitter::call_function(const std::string& name) {
  db(0xe8);
  names_.push_back({position(), name});
  dd(0);
}

void Emitter::address_of(const Xbyak::Reg64& r, const std::string& name) {
  lea(r, ptr[rip]);
  names_.push_back({position() - 4, name});
}

uint32_t Emitter::finish() {
  constexpr size_t kLargest = 32;
  reserve(kLargest * (constants_.size() + 1));
  // Largest first, so that each is aligned to its own size.
  const uint32_t code_end = position();
  for (const ConstantKind kind :
       {ConstantKind::kVector, ConstantKind::kLanes, ConstantKind::kQuad, ConstantKind::kWord}) {
    for (Constant& constant : constants_) {
      if (constant.kind != kind) continue;
      const uint32_t alignment = kind == ConstantKind::kWord ? 4 : kind == ConstantKind::kQuad ? 8 : 32;
      while (position() % alignment != 0) db(0);
      constant.offset = position();
      append(constant);
    }
  }
  for (const Reference& reference : references_) {
    rewrite(reference.displacement, constants_[reference.constant].offset - reference.end, 4);
  }
  code_.resize(position());
  CONVSMITH_CHECK(Xbyak::GetError() == Xbyak::ERR_NONE, Xbyak::ConvertErrorToString(Xbyak::GetError()));
  return code_end;
}

void Emitter::append(const Constant& constant) {
  constexpr uint32_t kWords = 8;
  for (uint32_t lane = 0; lane < kWords; ++lane) {
    switch (constant.kind) {
      case ConstantKind::kVector:
        dd(static_cast<uint32_t>(constant.value));
        break;
      case ConstantKind::kLanes:
        dd(lane);
        break;
      case ConstantKind::kQuad:
        return dq(constant.value);
      case ConstantKind::kWord:
        return dd(static_cast<uint32_t>(constant.value));
    }
  }
}

}  // namespace convsmith::x86

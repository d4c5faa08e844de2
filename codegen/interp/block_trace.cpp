#include "codegen/interp/block_trace.hpp"

#include <cctype>

namespace convsmith::interp {

namespace {

thread_local BlockTrace* innermost = nullptr;

// Loops of all levels are one, and so are tiles of all heights.
std::string general(std::string_view label) {
  std::string text;
  for (const char c : label.substr(0, label.find('.'))) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) text += c;
  }
  if (const size_t dot = label.find('.'); dot != std::string_view::npos) {
    const std::string_view rest = label.substr(dot + 1);
    text += rest.find_first_not_of("0123456789") == std::string_view::npos ? ".N" : "." + std::string(rest);
  }
  return text;
}

}  // namespace

BlockTrace::BlockTrace() : outer_(innermost) {
  innermost = this;
}
BlockTrace::~BlockTrace() {
  innermost = outer_;
}
BlockTrace* BlockTrace::current() {
  return innermost;
}

char* BlockTrace::entered(const vir::Program& program) {
  std::vector<char>& flags = programs_[&program];
  flags.resize(program.body.size());
  return flags.data();
}

BlockTrace::Reached BlockTrace::blocks() const {
  Reached reached;
  for (const auto& [program, flags] : programs_) {
    for (size_t i = 0; i < flags.size(); ++i) {
      const vir::Inst& inst = program->body[i];
      if (!vir::opens_block(inst.op)) continue;
      const std::string_view label = vir::label_of(*program, inst);
      if (!label.empty()) reached[general(label)] |= flags[i] != 0;
    }
  }
  return reached;
}

BlockTrace::Reached BlockTrace::operations() const {
  Reached reached;
  for (const auto& [program, flags] : programs_) {
    std::vector<bool> runs = {true};  // the blocks around the instruction, outside in
    for (size_t i = 0; i < flags.size(); ++i) {
      const vir::Opcode op = program->body[i].op;
      if (op == vir::Opcode::kEnd) {
        runs.pop_back();
        continue;
      }
      reached[std::string(vir::info(op).text)] |= runs.back();
      if (vir::opens_block(op)) runs.push_back(flags[i] != 0);
    }
  }
  return reached;
}

}  // namespace convsmith::interp

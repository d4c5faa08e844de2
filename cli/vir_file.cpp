#include "cli/vir_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <memory>

#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "codegen/control_word.hpp"
#include "codegen/target.hpp"

namespace convsmith::cli {

namespace {

constexpr int64_t kMostFloats = int64_t{1} << 28;
// A few seconds of the interpreter.
constexpr int64_t kMostOperations = 100'000'000;

tl::unexpected<Error> refuse(std::string what) {
  return make_error(ErrorCode::kInvalidSpec, std::move(what));
}

// The words behind "# run", of all such lines.
std::vector<std::string_view> run_lines(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const auto skip = [&](std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  };
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    skip(line);
    if (!line.starts_with('#')) continue;
    line.remove_prefix(1);
    skip(line);
    if (!line.starts_with("run")) continue;
    line.remove_prefix(3);
    if (line.empty() || kBlanks.find(line.front()) != std::string_view::npos) lines.push_back(line);
  }
  return lines;
}

struct Slot {
  std::string_view name;
  int64_t* value;
  bool is_size;  // of an array
  bool given = false;
};

// All that a line can set.
std::vector<Slot> slots_of(VirCall& call) {
  std::vector<Slot> slots = {{"in", &call.in, true},
                             {"weights", &call.weights, true},
                             {"out", &call.out, true},
                             {"operand", &call.operand, true},
                             {"scratch", &call.scratch, true}};
  for (int i = 0; i < vir::kArgs; ++i) {
    const auto arg = static_cast<vir::Arg>(i);
    if (!vir::is_pointer(arg))
      slots.push_back({vir::arg_text(arg), reinterpret_cast<int64_t*>(&call.args) + i, false});
  }
  return slots;
}

Result<void> read_word(std::string_view word, std::vector<Slot>& slots) {
  const auto wrong = [&](const std::string& why) {
    return refuse(fmt::format("'{}' in the '# run' line {}.", printable(word), why));
  };
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos)
    return wrong("is not NAME=NUMBER with the name of an argument, such as steps=16");
  const std::string_view name = word.substr(0, equals);
  if (name == vir::arg_text(vir::Arg::kParallel))
    return wrong("would set a pointer to threads, which a file cannot have; leave it out");
  const auto slot =
      std::find_if(slots.begin(), slots.end(), [&](const Slot& known) { return known.name == name; });
  if (slot == slots.end()) {
    std::string names;
    for (const Slot& known : slots) names += (names.empty() ? "" : ", ") + std::string(known.name);
    return wrong(fmt::format("does not begin with the name of an argument; these are {}", names));
  }
  if (slot->given) return wrong(fmt::format("gives {} for a second time", name));
  slot->given = true;
  const char* const last = word.data() + word.size();
  const auto [end, code] = std::from_chars(word.data() + equals + 1, last, *slot->value);
  if (code == std::errc::result_out_of_range) return wrong("has a number that 64 bits do not hold");
  if (code != std::errc() || end != last) return wrong("has no whole number behind '='");
  if (slot->is_size && (*slot->value < 0 || *slot->value > kMostFloats))
    return wrong(fmt::format("is a size, which must be from 0 to {} floats", kMostFloats));
  return {};
}

}  // namespace

VirArrays::VirArrays(const VirCall& call, DataKind data, uint64_t seed, Place place)
    : in_(random_floats(call.in, data, derive_seed(seed, 1)), place),
      weights_(random_floats(call.weights, data_of_weights(data), derive_seed(seed, 2)), place),
      out_(static_cast<size_t>(call.out), place),
      operand_(random_floats(call.operand, data, derive_seed(seed, 3)), place),
      scratch_(static_cast<size_t>(call.scratch), place),
      args_(call.args) {
  args_.kIn = in_.data();
  args_.kWeights = weights_.data();
  args_.kOut = out_.data();
  args_.kOperand = operand_.data();
  args_.kScratch = scratch_.data();
}

bool VirArrays::is_intact() const {
  return in_.is_intact() && weights_.is_intact() && out_.is_intact() && operand_.is_intact() &&
         scratch_.is_intact();
}

void VirArrays::reset() {
  for (PlacedArray* const array : {&out_, &scratch_})
    std::fill_n(array->data(), array->size(), std::bit_cast<float>(PlacedArray::kCanary));
}

interp::Bounds VirArrays::bounds() const {
  interp::Bounds bounds{.bytes = {}, .operations = kMostOperations};
  const auto set = [&](vir::Arg arg, const PlacedArray& array) {
    bounds.bytes[static_cast<size_t>(arg)] = static_cast<int64_t>(sizeof(float) * array.size());
  };
  set(vir::Arg::kIn, in_);
  set(vir::Arg::kWeights, weights_);
  set(vir::Arg::kOut, out_);
  set(vir::Arg::kOperand, operand_);
  set(vir::Arg::kScratch, scratch_);
  return bounds;
}

Result<VirCall> parse_vir_call(std::string_view text, const vir::Program& program) {
  const std::vector<std::string_view> lines = run_lines(text);
  if (lines.empty()) {
    return refuse(fmt::format(
        "The program '{}' has no line such as '# run in=256 weights=256 out=256 steps=16'.", program.name));
  }
  if (lines.size() > 1) {
    return refuse(
        fmt::format("The program '{}' has {} '# run' lines; it must have one.", program.name, lines.size()));
  }
  VirCall call;
  std::vector<Slot> slots = slots_of(call);
  std::string_view words = lines.front();
  while (!words.empty()) {
    const size_t end = std::min(words.find_first_of(" \t\r"), words.size());
    const std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(end + 1, words.size()));
    if (word.empty()) continue;
    if (auto done = read_word(word, slots); !done) return tl::unexpected(done.error());
  }
  const int64_t scratch = program.scratch_bytes / 4 + (program.scratch_bytes % 4 != 0 ? 1 : 0);
  if (scratch > kMostFloats)
    return refuse(fmt::format("The program '{}' asks for {} bytes of scratch; at most {} are given.",
                              program.name, program.scratch_bytes, 4 * kMostFloats));
  const bool given = std::any_of(slots.begin(), slots.end(),
                                 [&](const Slot& slot) { return slot.value == &call.scratch && slot.given; });
  if (!given) call.scratch = scratch;
  if (call.scratch < scratch) {
    return refuse(
        fmt::format("'scratch={}' in the '# run' line is less than the {} floats that the program "
                    "'{}' asks for.",
                    call.scratch, scratch, program.name));
  }
  const auto floats = static_cast<double>(call.in + call.weights + call.out + call.operand + call.scratch);
  if (auto fits = check_memory("The arrays of the '# run' line", 2 * sizeof(float) * floats); !fits)
    return tl::unexpected(fits.error());
  return call;
}

Result<void> run_checked(const vir::Program& program, const std::vector<int>& lines, VirArrays& arrays) {
  arrays.reset();
  const auto fault = interp::run_checked(program, arrays.args(), arrays.bounds());
  if (!fault) return {};
  const std::string place = fault->instruction < lines.size()
                                ? fmt::format("line {}", lines[fault->instruction])
                                : fmt::format("instruction {}", fault->instruction);
  return make_error(ErrorCode::kInvalidData, fmt::format("vir text, {}: {}.", place, fault->what));
}

void note_idle(const vir::Program& program, const VirArrays& arrays) {
  for (const float value : arrays.out())
    if (std::bit_cast<uint32_t>(value) != PlacedArray::kCanary) return;
  print_note(
      fmt::format("The program '{}' writes nothing to out in the call of its '# run' line, so nothing is "
                  "compared; give it other arguments there, such as batch=1 steps=16.",
                  program.name));
}

Result<std::unique_ptr<Kernel>> compile_vir(const vir::Program& program, BackEnd back_end) {
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  return make_kernel(program, back_end.backend, target_for(back_end.isa), memory);
}

std::vector<BackEnd> back_ends_for(const vir::Program& program, const std::vector<BackEnd>& back_ends) {
  std::vector<BackEnd> chosen;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512})
    if (target_for(isa).lanes == program.lanes) chosen.push_back({Backend::kInterp, isa});
  for (const BackEnd back_end : back_ends) {
    const bool fits = target_for(back_end.isa).lanes == program.lanes;
    if (fits && back_end.backend != Backend::kInterp) chosen.push_back(back_end);
  }
  return chosen;
}

Result<std::vector<BackEnd>> back_ends_for(const vir::Program& program, Backend backend, Isa isa) {
  if (isa != Isa::kAuto && target_for(isa).lanes != program.lanes) {
    return refuse(fmt::format("--isa is {} with vectors of {} lanes, and the program '{}' has {}.",
                              isa_name(isa), target_for(isa).lanes, program.name, program.lanes));
  }
  std::vector<BackEnd> chosen = back_ends_for(program, available_back_ends(backend, isa));
  if (chosen.size() == 1 && (backend == Backend::kXbyak || backend == Backend::kLlvm)) {
    return refuse(
        fmt::format("--backend is {}, which makes no code of {} lanes here, as the program '{}' has.",
                    backend_name(backend), program.lanes, program.name));
  }
  return chosen;
}

Result<std::vector<Finding>> check_vir(const vir::Program& program, const VirCall& call, DataKind data,
                                       uint64_t seed, const std::vector<BackEnd>& back_ends, bool guard,
                                       int& ran, const std::vector<int>& lines) {
  VirArrays arrays(call, data, seed, {guard ? Place::kGuardAfter : Place::kHeap, 0});
  const ScopedControlWord modes(call.denormals);
  if (auto done = run_checked(program, lines, arrays); !done) return tl::unexpected(done.error());
  const std::vector<float> expected = arrays.out();
  std::vector<Finding> findings;
  ran = 0;
  for (const BackEnd back_end : back_ends_for(program, back_ends)) {
    const auto kernel = compile_vir(program, back_end);
    if (!kernel) return tl::unexpected(kernel.error());
    arrays.reset();
    (*kernel)->run(arrays.args());
    ++ran;
    const std::string name = back_end_name(back_end);
    if (!arrays.is_intact())
      findings.push_back({back_end, name + ": something was written outside of the arrays"});
    const std::vector<float> found = arrays.out();
    for (size_t i = 0; i < expected.size(); ++i) {
      if (canonical_bits(expected[i]) == canonical_bits(found[i])) continue;
      findings.push_back(
          {back_end, fmt::format("{}: float {} of out is {:08x}, the interpreter leaves {:08x}", name, i,
                                 canonical_bits(found[i]), canonical_bits(expected[i]))});
      break;
    }
  }
  return findings;
}

}  // namespace convsmith::cli

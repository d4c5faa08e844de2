#include "cli/vir_file.hpp"

#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "codegen/control_word.hpp"
#include "codegen/target.hpp"

namespace convsmith::cli {

namespace {

constexpr int64_t kMostFloats = int64_t{1} << 28;

tl::unexpected<Error> refuse(std::string what) {
  return make_error(ErrorCode::kInvalidSpec, std::move(what));
}

// The words behind "# run", of the first such line; empty if there is none.
std::string_view run_line(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.starts_with("# run ")) return line.substr(6);
  }
  return {};
}

// The integer that a word of the line sets, null for an unknown one.
int64_t* slot_of(VirCall& call, std::string_view name) {
  if (name == "in") return &call.in;
  if (name == "weights") return &call.weights;
  if (name == "out") return &call.out;
  if (name == "scratch") return &call.scratch;
  constexpr std::string_view kNames[] = {
#define ARG(enumerator, text, type, meaning) text,
#include "codegen/args.def"
#undef ARG
  };
  constexpr size_t kPointers = 4;  // the pointers come first in args.def
  for (size_t i = kPointers; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return reinterpret_cast<int64_t*>(&call.args) + i;
  }
  return nullptr;
}

Result<std::vector<float>> run_vir(const vir::Program& program, const VirCall& call, DataKind data,
                                   uint64_t seed, BackEnd back_end, bool guard) {
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  const auto kernel = make_kernel(program, back_end.backend, target_for(back_end.isa), memory);
  if (!kernel) return tl::unexpected(kernel.error());
  VirArrays arrays(call, data, seed, {guard ? Place::kGuardAfter : Place::kHeap, 0});
  {
    const ScopedControlWord modes(call.denormals);
    (*kernel)->run(arrays.args());
  }
  if (!arrays.is_intact()) {
    return make_error(ErrorCode::kInvalidData, "something was written outside of the arrays");
  }
  return arrays.out();
}

}  // namespace

VirArrays::VirArrays(const VirCall& call, DataKind data, uint64_t seed, Place place)
    : in_(random_floats(call.in, data, derive_seed(seed, 1)), place),
      weights_(random_floats(call.weights, data_of_weights(data), derive_seed(seed, 2)), place),
      out_(static_cast<size_t>(call.out), place),
      scratch_(static_cast<size_t>(call.scratch), place),
      args_(call.args) {
  args_.kIn = in_.data();
  args_.kWeights = weights_.data();
  args_.kOut = out_.data();
  args_.kScratch = scratch_.data();
}

bool VirArrays::is_intact() const {
  return in_.is_intact() && weights_.is_intact() && out_.is_intact() && scratch_.is_intact();
}

Result<VirCall> parse_vir_call(std::string_view text, const vir::Program& program) {
  std::string_view words = run_line(text);
  if (words.empty())
    return refuse("The .vir file has no line such as '# run in=256 weights=256 out=256 steps=16'.");
  VirCall call;
  while (!words.empty()) {
    const size_t end = std::min(words.find_first_of(" \t\r"), words.size());
    const std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(end + 1, words.size()));
    if (word.empty()) continue;
    const size_t equals = std::min(word.find('='), word.size());
    int64_t* const slot = slot_of(call, word.substr(0, equals));
    const char* const last = word.data() + word.size();
    const char* const digits = equals == word.size() ? last : word.data() + equals + 1;
    if (slot == nullptr || digits == last || std::from_chars(digits, last, *slot).ptr != last) {
      return refuse(
          fmt::format("'{}' in the '# run' line is not NAME=NUMBER with the name of an argument.", word));
    }
  }
  for (const int64_t floats : {call.in, call.weights, call.out, call.scratch}) {
    if (floats < 0 || floats > kMostFloats) {
      return refuse(fmt::format("A size in the '# run' line is {}; it must be from 0 to {} floats.", floats,
                                kMostFloats));
    }
  }
  if (call.scratch == 0) call.scratch = (program.scratch_bytes + 3) / 4;
  return call;
}

Result<std::vector<Finding>> check_vir(const vir::Program& program, const VirCall& call, DataKind data,
                                       uint64_t seed, const std::vector<BackEnd>& back_ends, bool guard,
                                       int& ran) {
  std::vector<Finding> findings;
  std::vector<float> expected;
  ran = 0;
  const auto run_one = [&](BackEnd back_end) -> Result<void> {
    auto output = run_vir(program, call, data, seed, back_end, guard);
    ++ran;
    if (!output) {
      if (output.error().code == ErrorCode::kInvalidData) {
        findings.push_back({back_end, back_end_name(back_end) + ": " + output.error().message});
        return {};
      }
      return tl::unexpected(output.error());
    }
    if (ran == 1) expected = *output;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (canonical_bits(expected[i]) == canonical_bits((*output)[i])) continue;
      findings.push_back(
          {back_end, fmt::format("{}: float {} of out is {:08x}, the interpreter leaves {:08x}",
                                 back_end_name(back_end), i, canonical_bits((*output)[i]),
                                 canonical_bits(expected[i]))});
      break;
    }
    return {};
  };
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (target_for(isa).lanes != program.lanes) continue;
    if (auto ok = run_one({Backend::kInterp, isa}); !ok) return tl::unexpected(ok.error());
    for (const BackEnd back_end : back_ends) {
      if (back_end.isa != isa || back_end.backend == Backend::kInterp) continue;
      if (auto ok = run_one(back_end); !ok) return tl::unexpected(ok.error());
    }
  }
  if (ran == 0) return refuse(fmt::format("No instruction set has vectors of {} lanes.", program.lanes));
  return findings;
}

}  // namespace convsmith::cli

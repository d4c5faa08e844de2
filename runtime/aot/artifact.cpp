#include "runtime/aot/artifact.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codegen/llvm_loader.hpp"
#include "codegen/object/elf_object.hpp"
#include "codegen/x86/assemble.hpp"
#include "codegen/x86/disassemble.hpp"
#include "codegen/x86/dispatch.hpp"
#include "codegen/x86/image.hpp"
#include "frontend/base/check.hpp"
#include "ir/graph/graph_work.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/aot/artifact_name.hpp"
#include "runtime/aot/lower_graph.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/tuning.hpp"

namespace convsmith {

namespace {

constexpr std::string_view kNoVariantInfo = "info.none";
// What NAME_run gives on a CPU that runs no variant; the numbers before it are RunStatus.
constexpr int64_t kWrongCpu = 7;
// A call is one function, whose registers are numbered with 16 bits; a pass takes some sixty of them.
constexpr size_t kMostPasses = 500;

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

Result<void> check_options(const ArtifactOptions& options) {
  if (auto ok = check_artifact_name(options.name); !ok) return ok;
  if (options.targets.empty()) return refuse("--target names no instruction set.");
  const bool neon =
      std::find(options.targets.begin(), options.targets.end(), Isa::kNeon) != options.targets.end();
  if (neon && options.targets.size() > 1)
    return refuse("--target names aarch64 beside others; code for AArch64 needs an artifact of its own.");
  for (const Isa isa : options.targets) {
    if (options.backend == Backend::kXbyak && (isa == Isa::kBaseline || isa == Isa::kNeon))
      return refuse(
          fmt::format("--backend is xbyak, which makes AVX2 and AVX-512 code, not {}.", isa_name(isa)));
  }
  if (options.backend == Backend::kInterp)
    return refuse("--backend is interp; an artifact needs machine code, by xbyak or llvm.");
  return {};
}

// Kernels as programs, each once, named after what they compute.
class ProgramKernels final : public KernelMaker {
 public:
  ProgramKernels(const Target& target, const Target* weights_of, const Tuning* tuning)
      : target_(target), weights_of_(weights_of), tuning_(tuning) {}

  KernelResult nest(const Problem& problem) override {
    return get(ir::problem_text(problem), [&]() -> Result<CompiledKernel> {
      auto layer = lower_tuned(problem, target_, tuning_, weights_of_);
      if (!layer) return tl::unexpected(layer.error());
      CompiledKernel kernel = kernel_without_code(layer->nest, layer->program, target_);
      kernel.program = named(std::move(layer->program));
      return kernel;
    });
  }

  KernelResult program(const vir::Program& program) override {
    return get(program.name, [&]() -> Result<CompiledKernel> {
      CompiledKernel kernel = kernel_without_code(program, target_);
      kernel.program = named(program);
      return kernel;
    });
  }

 private:
  std::unique_ptr<const vir::Program> named(vir::Program program) {
    program.name += fmt::format(".{}", made_.size());
    return std::make_unique<const vir::Program>(std::move(program));
  }
  template <class Make>
  KernelResult get(const std::string& key, Make&& make) {
    const auto found = made_.find(key);
    if (found != made_.end()) return found->second;
    auto kernel = make();
    if (!kernel) return tl::unexpected(kernel.error());
    return made_.emplace(key, std::make_shared<const CompiledKernel>(std::move(*kernel))).first->second;
  }

  const Target& target_;
  const Target* weights_of_;
  const Tuning* tuning_;
  std::map<std::string, std::shared_ptr<const CompiledKernel>> made_;
};

Result<CodeImage> make_image(const ArtifactVariant& variant) {
  const Target& target = target_for(variant.isa);
  if (variant.backend == Backend::kXbyak) return x86::assemble_image(variant.functions, target);
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  return (*module)->compile(variant.functions, target, /*to_ship=*/true);
}

std::vector<uint8_t> packed_bytes(const std::shared_ptr<const CompiledGraph>& graph) {
  std::vector<std::span<const float>> arrays;
  for (const ir::Array& array : graph->graph.arrays) arrays.emplace_back(array.data);
  const auto packed = pack_graph(graph, arrays);
  const WeightPlan plan(*graph);
  std::vector<float> all(static_cast<size_t>(plan.floats), 0.0F);
  const auto put = [&](int64_t at, const float* from, size_t count) {
    std::copy_n(from, count, all.begin() + static_cast<std::ptrdiff_t>(at));
  };
  for (size_t i = 0; i < packed->parts.size(); ++i) {
    for (size_t j = 0; j < packed->parts[i].size(); ++j) {
      const PackedData* part = packed->parts[i][j].get();
      if (part != nullptr) put(plan.parts[i][j], part->data, static_cast<size_t>(part->layout.floats()));
    }
  }
  for (const ir::Op& op : graph->graph.ops) {
    if (op.operand_array < 0) continue;
    const std::vector<float>& array = packed->arrays[static_cast<size_t>(op.operand_array)];
    put(plan.arrays[static_cast<size_t>(op.operand_array)], array.data(), array.size());
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(all.data());
  return {bytes, bytes + all.size() * sizeof(float)};
}

// A name from a model file as a line of the info text may hold it.
std::string one_line(std::string name) {
  for (char& c : name)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return name;
}

std::string info_text(const ArtifactSource& source, const ArtifactOptions& options,
                      std::string_view variant) {
  const ir::Graph& g = source.graph;
  const auto channels = [&](const std::vector<int>& tensors) {
    std::vector<int64_t> all;
    for (const int t : tensors) all.push_back(g.tensors[static_cast<size_t>(t)].channels);
    return fmt::format("{}", fmt::join(all, " "));
  };
  std::string arrays;
  for (const WeightShape& weight : source.weights) {
    int64_t size = 1;
    for (const int64_t axis : weight.shape) size *= axis;
    arrays += fmt::format(" {}", size);
  }
  std::vector<std::string> fields;
  for (const auto& field : ir::receptive_fields(g)) fields.push_back(field ? std::to_string(*field) : "all");
  std::string text = fmt::format(
      "name: {}\nspec: {}\nvariant: {}\nversion: {}\nweights: {}\ninputs: {}\noutputs: {}\nin_channels: {}\n"
      "out_channels: {}\narrays: {}{}\nreceptive_field: {}\nmultiply_adds_per_step: {}\n",
      options.name, source.spec, variant, CONVSMITH_VERSION, source.weights.empty() ? "embedded" : "packed",
      g.inputs.size(), g.outputs.size(), channels(g.inputs), channels(g.outputs), source.weights.size(),
      arrays, fmt::join(fields, " "), ir::multiply_adds_per_step(g));
  const auto list = [&](const char* array, const std::vector<std::string>& names) {
    for (size_t i = 0; i < names.size(); ++i)
      text += fmt::format("{}[{}]: {}\n", array, i, one_line(names[i]));
  };
  list("in", g.input_names);
  list("out", g.output_names);
  return text;
}

// Puts images, weights and texts together.
class Linker {
 public:
  Linker(const ArtifactSource& source, const ArtifactOptions& options) : source_(source), options_(options) {
    object_.file = options.name + ".o";
    object_.marks_branch_targets = true;
    object_.machine = options.targets[0] == Isa::kNeon ? EM_AARCH64 : EM_X86_64;
  }

  void weights(std::vector<uint8_t> packed) {
    object_.data = std::move(packed);
    object_.symbols.push_back(
        {options_.name + "_weights", object::Section::kData, 0, object_.data.size(), false, false});
  }

  void variant(const ArtifactVariant& variant, bool is_only) {
    const std::string isa(isa_name(variant.isa));
    std::map<std::string, Place> places = {{std::string(kWeightsData), {object::Section::kData, 0}}};
    places.emplace(kInfoData, text(info_text(source_, options_, isa)));
    const uint64_t at = place(variant.image);
    const auto exported = c_functions(embedded());
    for (size_t i = 0; i < variant.functions.size(); ++i) {
      const CodeImage::Function& function = variant.image.functions[i];
      const std::string& name = variant.functions[i].name;
      const bool is_c = std::find(exported.begin(), exported.end(), name) != exported.end();
      const std::string symbol =
          is_c ? fmt::format("{}_{}", options_.name, name) : fmt::format("{}.{}", options_.name, name);
      const uint64_t offset = at + function.offset;
      object_.symbols.push_back({is_only && is_c ? symbol : symbol + "." + isa, object::Section::kText,
                                 offset, function.bytes, is_only && is_c, true});
      if (is_c)
        functions_.emplace(x86::variant_name(name, variant.isa), Place{object::Section::kText, offset});
    }
    for (const auto& [name, function] : variant.image.helpers) {
      object_.symbols.push_back({fmt::format("{}.{}.{}", options_.name, name, isa), object::Section::kText,
                                 at + function.offset, function.bytes, false, true});
    }
    refer(variant.image, at, places);
  }

  // The entries that choose among variants.
  void entries(std::span<const Isa> isas) {
    std::vector<x86::Entry> entries;
    for (const std::string_view function : c_functions(embedded())) {
      const bool runs = function.starts_with("run") || function == "pack";
      entries.push_back(
          {std::string(function), runs ? kWrongCpu : -1, function == "info" ? kNoVariantInfo : ""});
    }
    const CodeImage image = x86::dispatch(entries, isas);
    std::map<std::string, Place> places = functions_;
    places.emplace(x86::kVariantWord, Place{object::Section::kZero, 0});
    places.emplace(kNoVariantInfo, text(info_text(source_, options_, "none")));
    object_.zero_bytes = 4;
    const uint64_t at = place(image);
    for (size_t i = 0; i < entries.size(); ++i) {
      const CodeImage::Function& function = image.functions[i];
      object_.symbols.push_back({fmt::format("{}_{}", options_.name, entries[i].name), object::Section::kText,
                                 at + function.offset, function.bytes, true, true});
    }
    const CodeImage::Function& detect = image.functions.back();
    object_.symbols.push_back(
        {options_.name + ".detect", object::Section::kText, at + detect.offset, detect.bytes, false, true});
    object_.symbols.push_back({options_.name + ".variant", object::Section::kZero, 0, 4, false, false});
    refer(image, at, places);
  }

  std::vector<uint8_t> finish() const { return object::write_elf(object_); }

 private:
  struct Place {
    object::Section section;
    uint64_t offset;
  };

  bool embedded() const { return source_.weights.empty(); }

  Place text(const std::string& text) {
    const Place place{object::Section::kData, object_.data.size()};
    object_.data.insert(object_.data.end(), text.begin(), text.end());
    object_.data.push_back(0);
    return place;
  }

  // Code and unwind tables; gives where the code begins.
  uint64_t place(const CodeImage& image) {
    object_.text_alignment = std::max<uint64_t>(object_.text_alignment, image.alignment);
    const uint8_t trap = object_.machine == EM_X86_64 ? 0xcc : 0;
    const size_t at = (object_.text.size() + image.alignment - 1) / image.alignment * image.alignment;
    object_.text.resize(at, trap);
    object_.text.insert(object_.text.end(), image.bytes.begin(), image.bytes.end());
    const uint32_t type = object_.machine == EM_X86_64 ? R_X86_64_PC32 : R_AARCH64_PREL32;
    const uint64_t unwind = object_.unwind.size();
    object_.unwind.insert(object_.unwind.end(), image.unwind.bytes.begin(), image.unwind.bytes.end());
    for (const CodeImage::Unwind::Place& function : image.unwind.functions)
      object_.relocations.push_back({object::Section::kUnwind, unwind + function.offset, type,
                                     object::Section::kText, static_cast<int64_t>(at + function.function)});
    return at;
  }

  void refer(const CodeImage& image, uint64_t at, const std::map<std::string, Place>& places) {
    for (const CodeImage::Reference& reference : image.references) {
      const auto found = places.find(reference.name);
      CONVSMITH_CHECK(found != places.end(), ("an artifact lacks " + reference.name).c_str());
      object_.relocations.push_back({object::Section::kText, at + reference.offset, reference.elf_type,
                                     found->second.section,
                                     static_cast<int64_t>(found->second.offset) + reference.addend});
    }
  }

  const ArtifactSource& source_;
  const ArtifactOptions& options_;
  object::Object object_;
  std::map<std::string, Place> functions_;  // C functions by name and variant
};

Backend backend_for(Isa isa, Backend wanted) {
  if (wanted != Backend::kAuto) return wanted;
  return isa == Isa::kAvx2 || isa == Isa::kAvx512 ? Backend::kXbyak : Backend::kLlvm;
}

}  // namespace

Result<Artifact> compile_artifact(const ArtifactSource& source, const ArtifactOptions& options) {
  if (auto ok = check_options(options); !ok) return tl::unexpected(ok.error());
  if (const size_t ops = source.graph.ops.size(); ops > kMostPasses) {
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("The model has {} passes over memory; an artifact can hold up to {}.", ops, kMostPasses));
  }
  std::vector<Isa> isas = options.targets;
  std::sort(isas.begin(), isas.end(), std::greater<>());
  isas.erase(std::unique(isas.begin(), isas.end()), isas.end());
  const bool embedded = source.weights.empty();
  const Target* const weights_of = isas.size() > 1 ? &target_for(isas[0]) : nullptr;
  Artifact artifact;
  Linker linker(source, options);
  std::shared_ptr<const CompiledGraph> first;
  for (const Isa isa : isas) {
    ArtifactVariant variant{isa, backend_for(isa, options.backend), {}, {}};
    ProgramKernels kernels(target_for(isa), weights_of, options.tuning);
    auto graph = compile_graph(source.graph, variant.backend, isa, kernels);
    if (graph && !options.schedule.empty()) {
      const auto schedule = parse_graph_schedule(options.schedule);
      if (!schedule) return tl::unexpected(schedule.error());
      graph = with_schedule(**graph, *schedule);
    }
    if (!graph) return tl::unexpected(graph.error());
    if (first == nullptr) {
      first = *graph;
      if (embedded) linker.weights(packed_bytes(first));
    }
    CONVSMITH_CHECK(have_same_layout(*first, **graph), "variants that read weights differently");
    variant.functions = lower_graph(**graph, embedded);
    auto image = make_image(variant);
    if (!image) return tl::unexpected(image.error());
    variant.image = std::move(*image);
    linker.variant(variant, isa == Isa::kNeon);
    artifact.variants.push_back(std::move(variant));
  }
  if (isas[0] != Isa::kNeon) linker.entries(isas);
  artifact.object = linker.finish();
  artifact.header = artifact_header(source, options, artifact.variants);
  return artifact;
}

Result<std::string> artifact_assembly(const ArtifactVariant& variant) {
  const Target& target = target_for(variant.isa);
  if (variant.backend == Backend::kLlvm) {
    const auto& module = load_llvm_module();
    if (!module) return tl::unexpected(module.error());
    return (*module)->print_assembly(variant.functions, target);
  }
  std::string text;
  for (const vir::Program& function : variant.functions) {
    const auto code = x86::assemble(function, target);
    if (!code) return tl::unexpected(code.error());
    text += fmt::format("{}:\n{}\n", function.name, x86::disassemble(function, *code).text);
  }
  return text;
}

Result<std::string> artifact_llvm_ir(const ArtifactVariant& variant) {
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  return (*module)->print_ir(variant.functions, target_for(variant.isa), /*to_ship=*/true);
}

}  // namespace convsmith

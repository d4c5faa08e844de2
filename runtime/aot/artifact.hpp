// Ahead of time: a compiled graph as an object file that runs without us, for several CPUs at once, and the
// header that declares its C functions. Called by `convsmith compile`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codegen/code_image.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/options.hpp"
#include "ir/graph/graph.hpp"

namespace convsmith {

struct ArtifactOptions {
  std::string name;               // what the C functions begin with: check_artifact_name
  std::vector<Isa> targets = {};  // x86-64's, each once, or kNeon alone
  Backend backend = Backend::kAuto;
  const class Tuning* tuning = nullptr;
  std::string schedule = {};  // of the graph, for all of them (runtime/graph_schedule.hpp); empty: chosen
};

struct ArtifactSource {
  ir::Graph graph;
  std::string spec;  // in one line, for people
  // Empty: the arrays of the graph have their values, and travel with the code. Else the weights that
  // NAME_pack takes, in this order, which is that of the graph's arrays.
  std::vector<WeightShape> weights = {};
};

// The code for one instruction set.
struct ArtifactVariant {
  Isa isa;
  Backend backend;
  std::vector<vir::Program> functions;
  CodeImage image;
};

struct Artifact {
  std::vector<ArtifactVariant> variants;  // the best first
  std::vector<uint8_t> object;            // ELF
  std::string header;                     // C99 and C++
};

// Errors (kInvalidSpec): a name that is no C identifier, targets that do not go together, a back end that
// can't make them; kUnavailable where the LLVM back end is needed and not there.
Result<Artifact> compile_artifact(const ArtifactSource& source, const ArtifactOptions& options);

// The text of the header.
std::string artifact_header(const ArtifactSource& source, const ArtifactOptions& options,
                            const std::vector<ArtifactVariant>& variants);

// The vir of a variant as assembly with comments, or as LLVM's IR. Errors as above.
Result<std::string> artifact_assembly(const ArtifactVariant& variant);
Result<std::string> artifact_llvm_ir(const ArtifactVariant& variant);

}  // namespace convsmith

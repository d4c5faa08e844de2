// The LLVM module's one exported symbol: vir to IR to an object in memory to code memory. LLVM is
// used as a code generator only. The mid-level optimiser has nothing to add to a program that
// is already tiled and in SSA form, and measured code was slower for it.
#include <fmt/format.h>
#include <llvm-c/Core.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ArchiveWriter.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include "codegen/code_id.hpp"
#include "codegen/llvm/emitter.hpp"
#include "codegen/llvm/link.hpp"
#include "codegen/llvm_module.hpp"

namespace convsmith::llvm_backend {

namespace {

// What is made for each family of CPUs.
struct Platform {
  const char* triple;
  const char* cpu;
};

Platform platform_of(const Target& target) {
  if (target.isa == Isa::kNeon) return {"aarch64-unknown-linux-gnu", "generic"};
  return {"x86_64-unknown-linux-gnu", "x86-64"};
}

void initialize_targets() {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
}

std::unique_ptr<llvm::LLVMTargetMachine> make_target_machine(const Platform& platform) {
  static const bool initialized = (initialize_targets(), true);
  (void)initialized;
  std::string error;
  const llvm::Target* const target = llvm::TargetRegistry::lookupTarget(platform.triple, error);
  if (target == nullptr) return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  // The CPU's features are attributes of the functions. Position independent: constants are
  // addressed relative to the code, wherever that lies.
  return std::unique_ptr<llvm::LLVMTargetMachine>(static_cast<llvm::LLVMTargetMachine*>(
      target->createTargetMachine(platform.triple, platform.cpu, "", options, llvm::Reloc::PIC_,
                                  llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default, /*JIT=*/true)));
}

// The passes of code generation, less two. The order of a vir program is chosen so that its tile fits
// the registers; the scheduler before register allocation hoists loads over it and makes
// accumulators spill. Pointers already step through loops as they should; loop strength reduction takes half
// of the time to turn them into base and index, which costs folded operands an extra operation.
class Passes final : public llvm::legacy::PassManager {
 public:
  void add(llvm::Pass* pass) override {
    if (pass->getPassName() == "Loop Strength Reduction" || pass->getPassID() == &llvm::MachineSchedulerID) {
      delete pass;
    } else {
      PassManager::add(pass);
    }
  }
};

// What TargetMachine::addPassesToEmitFile does, with our pass manager.
bool generate_code(llvm::Module& module, llvm::LLVMTargetMachine& machine, llvm::CodeGenFileType file_type,
                   llvm::SmallVectorImpl<char>& object) {
  Passes passes;
  auto* const machine_module = new llvm::MachineModuleInfoWrapperPass(&machine);
  llvm::TargetPassConfig* const config = machine.createPassConfig(passes);
  config->setDisableVerify(true);
  passes.add(config);
  passes.add(machine_module);
  if (config->addISelPasses()) return false;
  config->addMachinePasses();
  config->setInitialized();
  llvm::raw_svector_ostream stream(object);
  if (machine.addAsmPrinter(passes, stream, nullptr, file_type, machine_module->getMMI().getContext())) {
    return false;
  }
  passes.add(llvm::createFreeMachineFunctionPass());
  passes.run(module);
  return true;
}

tl::unexpected<Error> unavailable(const char* what) {
  return make_error(ErrorCode::kUnavailable, std::string("The LLVM back end can't be used: ") + what + ".");
}

// What the code generator makes of the functions: an object or assembly.
Result<llvm::SmallVector<char, 0>> generate(std::span<const vir::Program> functions, const Target& target,
                                            bool to_ship, llvm::CodeGenFileType what) {
  const Platform platform = platform_of(target);
  const auto machine = make_target_machine(platform);
  if (machine == nullptr) return unavailable("this LLVM lacks the target");
  llvm::LLVMContext context;
  context.setDiscardValueNames(true);
  const auto module = emit_module(functions, target, to_ship, context);
  module->setTargetTriple(platform.triple);
  module->setDataLayout(machine->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  if (!generate_code(*module, *machine, what, bytes)) return unavailable("this LLVM writes no such files");
  return bytes;
}

Result<CodeImage> compile(std::span<const vir::Program> functions, const Target& target, bool to_ship) {
  const auto object = generate(functions, target, to_ship, llvm::CodeGenFileType::ObjectFile);
  if (!object) return tl::unexpected(object.error());
  std::vector<std::string> names;
  for (const vir::Program& function : functions) names.push_back(function.name);
  return link_object({llvm::StringRef(object->data(), object->size()), names.front()}, names);
}

// The libLLVM that is loaded may be newer than the one at build time.
std::string module_code_id() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  return fmt::format("{} LLVM {}.{}.{}", code_id(), major, minor, patch);
}

std::string print_ir(std::span<const vir::Program> functions, const Target& target, bool to_ship) {
  llvm::LLVMContext context;
  const auto module = emit_module(functions, target, to_ship, context);
  module->setTargetTriple(platform_of(target).triple);
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  return text;
}

Result<std::string> print_assembly(std::span<const vir::Program> functions, const Target& target) {
  const auto text = generate(functions, target, /*to_ship=*/true, llvm::CodeGenFileType::AssemblyFile);
  if (!text) return tl::unexpected(text.error());
  return std::string(text->data(), text->size());
}

Result<std::vector<uint8_t>> make_archive(const std::string& member, std::span<const uint8_t> object) {
  const llvm::MemoryBufferRef buffer(
      llvm::StringRef(reinterpret_cast<const char*>(object.data()), object.size()), member);
  const llvm::NewArchiveMember members[] = {llvm::NewArchiveMember(buffer)};
  auto archive = llvm::writeArchiveToBuffer(members, llvm::SymtabWritingMode::NormalSymtab,
                                            llvm::object::Archive::K_GNU, /*Deterministic=*/true,
                                            /*Thin=*/false);
  if (!archive) return unavailable(llvm::toString(archive.takeError()).c_str());
  return std::vector<uint8_t>((*archive)->getBufferStart(), (*archive)->getBufferEnd());
}

}  // namespace

}  // namespace convsmith::llvm_backend

extern "C" __attribute__((visibility("default"))) const convsmith::LlvmModule convsmith_llvm_module;
const convsmith::LlvmModule convsmith_llvm_module = {convsmith::llvm_build_id(),
                                                     convsmith::llvm_backend::module_code_id,
                                                     convsmith::llvm_backend::compile,
                                                     convsmith::llvm_backend::print_ir,
                                                     convsmith::llvm_backend::print_assembly,
                                                     convsmith::llvm_backend::make_archive};

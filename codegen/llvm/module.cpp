// The LLVM module's one exported symbol: vir to IR to an object in memory to code memory. LLVM is
// used as a code generator only. The mid-level optimiser has nothing to add to a program that
// is already tiled and in SSA form, and measured code was slower for it.
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include "codegen/llvm/emitter.hpp"
#include "codegen/llvm/link.hpp"
#include "codegen/llvm_module.hpp"

namespace convsmith::llvm_backend {

namespace {

constexpr const char* kTriple = "x86_64-unknown-linux-gnu";

class LlvmKernel final : public Kernel {
 public:
  explicit LlvmKernel(LinkedCode code)
      : block_(std::move(code.block)), entry_(reinterpret_cast<KernelFunction>(code.entry)) {}
  void run(const KernelArgs& args) const noexcept override { entry_(&args); }
  size_t code_bytes() const override { return block_.size(); }

 private:
  CodeBlock block_;
  KernelFunction entry_;
};

std::unique_ptr<llvm::LLVMTargetMachine> make_target_machine() {
  static const llvm::Target* const target = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    std::string error;
    return llvm::TargetRegistry::lookupTarget(kTriple, error);
  }();
  if (target == nullptr) return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  // The CPU and its features are attributes of the function. Position independent: constants are
  // addressed relative to the code, wherever the arena lies.
  return std::unique_ptr<llvm::LLVMTargetMachine>(static_cast<llvm::LLVMTargetMachine*>(
      target->createTargetMachine(kTriple, "x86-64", "", options, llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                  llvm::CodeGenOptLevel::Default, /*JIT=*/true)));
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
bool generate_code(llvm::Module& module, llvm::LLVMTargetMachine& machine,
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
  if (machine.addAsmPrinter(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile,
                            machine_module->getMMI().getContext())) {
    return false;
  }
  passes.add(llvm::createFreeMachineFunctionPass());
  passes.run(module);
  return true;
}

tl::unexpected<Error> unavailable(const char* what) {
  return make_error(ErrorCode::kUnavailable, std::string("The LLVM back end can't be used: ") + what + ".");
}

Result<std::unique_ptr<Kernel>> compile(const vir::Program& program, const Target& target,
                                        CodeMemory& memory) {
  const auto machine = make_target_machine();
  if (machine == nullptr) return unavailable("this LLVM has no x86 target");
  llvm::LLVMContext context;
  context.setDiscardValueNames(true);
  const auto module = emit_module(program, target, context);
  module->setTargetTriple(kTriple);
  module->setDataLayout(machine->createDataLayout());

  llvm::SmallVector<char, 0> object;
  if (!generate_code(*module, *machine, object)) return unavailable("this LLVM writes no object files");
  auto code = link_object({llvm::StringRef(object.data(), object.size()), program.name}, kEntryName, memory);
  if (!code) return tl::unexpected(code.error());
  return std::make_unique<LlvmKernel>(std::move(*code));
}

std::string print_ir(const vir::Program& program, const Target& target) {
  llvm::LLVMContext context;
  const auto module = emit_module(program, target, context);
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  return text;
}

}  // namespace

}  // namespace convsmith::llvm_backend

extern "C" __attribute__((visibility("default"))) const convsmith::LlvmModule convsmith_llvm_module;
const convsmith::LlvmModule convsmith_llvm_module = {
    convsmith::llvm_build_id(), convsmith::llvm_backend::compile, convsmith::llvm_backend::print_ir};

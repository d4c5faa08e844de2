#include "codegen/llvm/emitter.hpp"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "codegen/kernel.hpp"
#include "codegen/llvm/lane_ops.hpp"
#include "codegen/llvm/mode_ops.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::llvm_backend {

namespace {

using llvm::BasicBlock;
using llvm::Value;
using vir::Inst;
using vir::Kind;
using vir::Opcode;

// What LLVM may use, which is what detect_isa() checks, and the CPU whose timings it schedules for.
struct CpuAttributes {
  const char* features;
  const char* tune;
  const char* vector_bits;
};

CpuAttributes cpu_attributes(Isa isa) {
  switch (isa) {
    case Isa::kAvx2:
      return {"+avx2,+fma,+bmi2", "haswell", "256"};
    case Isa::kAvx512:
      return {"+avx2,+fma,+bmi2,+avx512f,+avx512vl,+avx512bw,+avx512dq,-prefer-256-bit", "skylake-avx512",
              "512"};
    case Isa::kNeon:
      return {"+neon", "cortex-a72", "128"};
    default:
      return {"", "generic", "128"};
  }
}

// One program on its way to one function.
class Emitter {
 public:
  Emitter(const vir::Program& program, const Target& target, llvm::Function& function)
      : program_(program),
        target_(target),
        match_(vir::match_blocks(program)),
        function_(function),
        builder_(function.getContext()),
        lanes_(builder_, target, program.lanes) {
    for (size_t k = 0; k < vir::kKinds; ++k) values_[k].assign(program.registers[k], nullptr);
  }

  void run() {
    start(new_block("entry"));
    for (size_t at = 0; at < program_.body.size(); ++at) {
      const Inst& inst = program_.body[at];
      if (vir::opens_block(inst.op)) {
        open(at);
      } else if (inst.op == Opcode::kEnd) {
        close();
      } else {
        define(inst);
      }
    }
    builder_.CreateRet(result_ != nullptr ? result_ : integer(0));
    if (!target_.mask_registers && target_.isa != Isa::kNeon) keep_accumulators_in_place();
  }

 private:
  struct Reg {
    Kind kind;
    uint16_t id;
    bool operator==(const Reg&) const = default;
  };
  // A register that has a value before a block and is written inside.
  struct Carried {
    Reg reg;
    Value* before;
    llvm::PHINode* phi;  // at the top of a repeated block
  };
  struct Block {
    const Inst* opener;
    bool always_entered;
    BasicBlock* guard;
    BasicBlock* body;
    BasicBlock* exit;
    std::vector<Carried> carried;
    std::vector<Reg> local;  // first written inside: gone after the block
  };

  BasicBlock* new_block(const llvm::Twine& name) {
    return BasicBlock::Create(function_.getContext(), name, &function_);
  }
  void start(BasicBlock* block) { builder_.SetInsertPoint(block); }
  Value*& value(Reg reg) { return values_[static_cast<size_t>(reg.kind)][reg.id]; }
  Value* integer(int64_t n) { return builder_.getInt64(static_cast<uint64_t>(n)); }

  // Whether the block of `opener` is entered (again), by the values of this moment.
  Value* condition(const Inst& opener) {
    Value* const a = value({Kind::kInt, opener.regs[0]});
    if (opener.op == Opcode::kLoop) return builder_.CreateICmpSGT(a, integer(0));
    Value* const b = value({Kind::kInt, opener.regs[1]});
    if (opener.op == Opcode::kWithin)
      return builder_.CreateICmpULT(builder_.CreateAdd(a, integer(opener.imm)), b);
    return builder_.CreateICmpSLT(a, b);
  }

  // Turn this: loop, while, if, within
  // Into this: guard: br condition, body, exit
  //            body:  phis ... (loop, while: br condition, body, exit)
  //            exit:  phis
  void open(size_t at) {
    Block block{&program_.body[at], false, nullptr, nullptr, nullptr, {}, {}};
    const Inst& opener = *block.opener;
    const std::string label(vir::label_of(program_, opener));
    collect_written(at, block);
    block.guard = builder_.GetInsertBlock();
    block.body = new_block(label);
    block.exit = new_block(label + ".end");
    Value* const enter = condition(opener);
    const auto* known = llvm::dyn_cast<llvm::ConstantInt>(enter);
    block.always_entered = known != nullptr && known->isOne();
    if (block.always_entered) {
      builder_.CreateBr(block.body);
    } else {
      builder_.CreateCondBr(enter, block.body, block.exit);
    }
    start(block.body);
    if (vir::is_loop(opener.op)) {
      for (Carried& c : block.carried) {
        c.phi = builder_.CreatePHI(c.before->getType(), 2);
        c.phi->addIncoming(c.before, block.guard);
        value(c.reg) = c.phi;
      }
    }
    open_.push_back(std::move(block));
  }

  void close() {
    const Block block = std::move(open_.back());
    open_.pop_back();
    const Inst& opener = *block.opener;
    BasicBlock* const latch = builder_.GetInsertBlock();
    if (!vir::is_loop(opener.op)) {
      builder_.CreateBr(block.exit);
    } else {
      Value* again = nullptr;
      if (opener.op == Opcode::kLoop) {
        Value*& counter = value({Kind::kInt, opener.regs[0]});
        counter = builder_.CreateSub(counter, integer(1));
        again = builder_.CreateICmpNE(counter, integer(0));  // it was above 0
      } else {
        again = condition(opener);
      }
      builder_.CreateCondBr(again, block.body, block.exit);
      for (const Carried& c : block.carried) c.phi->addIncoming(value(c.reg), latch);
    }
    start(block.exit);
    for (const Carried& c : block.carried) {
      Value*& after = value(c.reg);
      if (opener.op == Opcode::kLoop && c.reg == Reg{Kind::kInt, opener.regs[0]}) after = integer(0);
      if (block.always_entered || after == c.before) continue;
      llvm::PHINode* const join = builder_.CreatePHI(after->getType(), 2);
      join->addIncoming(c.before, block.guard);
      join->addIncoming(after, latch);
      after = join;
    }
    for (const Reg& reg : block.local) value(reg) = nullptr;
  }

  void collect_written(size_t opener, Block& block) {
    std::array<std::vector<bool>, vir::kKinds> seen;
    for (size_t k = 0; k < vir::kKinds; ++k) seen[k].assign(program_.registers[k], false);
    const auto end = static_cast<size_t>(match_[opener]);
    for (size_t i = opener; i < end; ++i) {
      for (const vir::Use& use : vir::uses(program_.body[i])) {
        auto& kind_seen = seen[static_cast<size_t>(use.kind)];
        if (!use.written || kind_seen[use.id]) continue;
        kind_seen[use.id] = true;
        const Reg reg{use.kind, use.id};
        if (Value* const before = value(reg)) {
          block.carried.push_back({reg, before, nullptr});
        } else {
          block.local.push_back(reg);
        }
      }
    }
  }

  // One operation that is not a block: reads its operands, writes at most one register.
  void define(const Inst& inst) {
    LaneOps::Operands in{};
    size_t count = 0;
    const vir::Use* written = nullptr;
    const vir::Uses uses = vir::uses(inst);
    for (const vir::Use& use : uses) {
      if (use.read) in[count++] = value({use.kind, use.id});
      if (use.written) written = &use;
    }
    keep_order(inst.op);
    Value* result = integers(inst, in);
    if (result == nullptr) result = call(inst, in);
    if (result == nullptr) result = memory(inst, in);
    if (result == nullptr) result = lanes_.emit(inst, in);
    CONVSMITH_CHECK(result != nullptr, "the LLVM back end lacks an operation");
    if (written != nullptr) value({written->kind, written->id}) = result;
  }

  Value* integers(const Inst& inst, const LaneOps::Operands& in) {
    switch (inst.op) {
      case Opcode::kArgPtr:
        return argument(builder_.getPtrTy(), inst.imm);
      case Opcode::kArgInt:
        return argument(builder_.getInt64Ty(), inst.imm);
      case Opcode::kIntConst:
        return integer(inst.imm);
      case Opcode::kIntCopy:
        return in[0];
      case Opcode::kIntAdd:
        return builder_.CreateAdd(in[0], in[1]);
      case Opcode::kIntAddC:
        return builder_.CreateAdd(in[0], integer(inst.imm));
      case Opcode::kIntSub:
        return builder_.CreateSub(in[0], in[1]);
      case Opcode::kIntMul:
        return builder_.CreateMul(in[0], in[1]);
      case Opcode::kIntMulC:
        return builder_.CreateMul(in[0], integer(inst.imm));
      case Opcode::kIntMin:
        return builder_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, in[0], in[1]);
      case Opcode::kIntMax:
        return builder_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, in[0], in[1]);
      case Opcode::kIntDiv:
        return builder_.CreateSDiv(in[0], in[1]);
      case Opcode::kPtrInt:
        return builder_.CreatePtrToInt(in[0], builder_.getInt64Ty());
      case Opcode::kIntDivC:
        return floor_divide(in[0], inst.imm);
      case Opcode::kPtrCopy:
        return in[0];
      case Opcode::kPtrAdd:
        return offset(in[0], in[1]);
      case Opcode::kPtrAddC:
        return offset(in[0], integer(inst.imm));
      default:
        return nullptr;
    }
  }

  // The arguments stay as they are for the whole call, so LLVM may read one again instead of keeping it.
  Value* argument(llvm::Type* type, int64_t slot) {
    for (size_t i = 0; i < program_.params.size(); ++i) {
      if (static_cast<int64_t>(program_.params[i]) == slot) return function_.getArg(static_cast<unsigned>(i));
    }
    llvm::LoadInst* const load =
        builder_.CreateAlignedLoad(type, offset(function_.getArg(0), integer(8 * slot)), llvm::Align(8));
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(function_.getContext(), {}));
    return load;
  }

  // The block of arguments for the functions that are called.
  Value* outgoing() {
    if (outgoing_ == nullptr) {
      const llvm::IRBuilder<>::InsertPointGuard guard(builder_);
      llvm::BasicBlock& entry = function_.getEntryBlock();
      builder_.SetInsertPoint(&entry, entry.begin());
      outgoing_ = builder_.CreateAlloca(llvm::ArrayType::get(builder_.getInt64Ty(), vir::kArgs));
    }
    return outgoing_;
  }

  // Gives an operand where there is no result: only null means that this is no such operation.
  Value* call(const Inst& inst, const LaneOps::Operands& in) {
    const auto name = [&]() -> const std::string& { return program_.labels[static_cast<size_t>(inst.imm)]; };
    const auto word = [&](Value* base, int64_t index) { return offset(base, integer(8 * index)); };
    const auto load = [&](llvm::Type* type, Value* address) {
      return builder_.CreateAlignedLoad(type, address, llvm::Align(8));
    };
    llvm::Type* const pointer = builder_.getPtrTy();
    llvm::Type* const number = builder_.getInt64Ty();
    switch (inst.op) {
      case Opcode::kSetPtr:
      case Opcode::kSetInt:
        builder_.CreateAlignedStore(in[0], word(outgoing(), inst.imm), llvm::Align(8));
        return in[0];
      case Opcode::kCall:
        return builder_.CreateCall(function_.getParent()->getFunction(name()), {outgoing(), integer(0)});
      case Opcode::kFork: {
        Value* const parallel = argument(pointer, static_cast<int64_t>(vir::Arg::kParallel));
        auto* const type =
            llvm::FunctionType::get(builder_.getVoidTy(), {pointer, pointer, pointer, number}, false);
        Value* const pool = load(pointer, word(parallel, 1));
        Value* const run = load(pointer, parallel);
        builder_.CreateCall(type, run, {pool, function_.getParent()->getFunction(name()), outgoing(), in[0]});
        return in[0];
      }
      case Opcode::kPart:
        return function_.getArg(1);
      case Opcode::kData:
        return data(name());
      case Opcode::kResultInt:
        return result_ = in[0];
      case Opcode::kResultPtr:
        return result_ = builder_.CreatePtrToInt(in[0], number);
      case Opcode::kLoadInt:
        return load(number, offset(in[0], integer(inst.imm)));
      case Opcode::kLoadPtr:
        return load(pointer, offset(in[0], integer(inst.imm)));
      default:
        return emit_mode_op(builder_, target_.isa, inst.op, in[0]);
    }
  }

  // Lies in the same artifact, wherever that is.
  Value* data(const std::string& name) {
    auto* const global = llvm::cast<llvm::GlobalVariable>(
        function_.getParent()->getOrInsertGlobal(name, builder_.getInt8Ty()));
    global->setVisibility(llvm::GlobalValue::HiddenVisibility);
    global->setDSOLocal(true);
    return global;
  }

  Value* floor_divide(Value* a, int64_t n) {
    const auto divisor = static_cast<uint64_t>(n);
    if (std::has_single_bit(divisor)) {
      return builder_.CreateAShr(a, static_cast<uint64_t>(std::countr_zero(divisor)));
    }
    Value* const quotient = builder_.CreateSDiv(a, integer(n));
    Value* const remainder = builder_.CreateSub(a, builder_.CreateMul(quotient, integer(n)));
    return builder_.CreateAdd(quotient, builder_.CreateAShr(remainder, 63));  // one less below zero
  }

  // Not inbounds: running pointers may pass through addresses outside of any array.
  Value* offset(Value* pointer, Value* bytes) {
    return builder_.CreateGEP(builder_.getInt8Ty(), pointer, bytes);
  }

  // LLVM brings loads from one pointer together; in an unrolled reduction that loads the vectors of
  // the later steps first, and accumulators spill. So a load after anything else stays behind it.
  // This fence is no instruction.
  void keep_order(Opcode op) {
    const bool loads =
        op == Opcode::kLoad || op == Opcode::kLoadMask || op == Opcode::kLoad4 || op == Opcode::kLoad8;
    if (loads && !after_load_) {
      builder_.CreateFence(llvm::AtomicOrdering::SequentiallyConsistent, llvm::SyncScope::SingleThread);
    }
    after_load_ = loads;
  }

  Value* memory(const Inst& inst, const LaneOps::Operands& in) {
    const auto address = [&] { return offset(in[0], integer(inst.imm)); };
    switch (inst.op) {
      case Opcode::kLoad:
        return lanes_.load(address());
      case Opcode::kLoadMask:
        return lanes_.load(address(), in[1]);
      case Opcode::kLoad4:
        return lanes_.load_run(address(), 4);
      case Opcode::kLoad8:
        return lanes_.load_run(address(), 8);
      case Opcode::kInsert1:
      case Opcode::kInsert2:
      case Opcode::kInsert3:
        return lanes_.insert(in[0], static_cast<uint32_t>(vir::inserted_block(inst.op)),
                             offset(in[1], integer(inst.imm)));
      case Opcode::kBcast:
        return lanes_.broadcast(address());
      case Opcode::kStore:
        lanes_.store(address(), in[1]);
        return in[1];
      case Opcode::kStoreMask:
        lanes_.store(address(), in[1], in[2]);
        return in[1];
      case Opcode::kStream:
        lanes_.stream(address(), in[1]);
        return in[1];
      case Opcode::kPrefetch:
        return builder_.CreateIntrinsic(
            llvm::Intrinsic::prefetch, {builder_.getPtrTy()},
            {address(), builder_.getInt32(0), builder_.getInt32(2), builder_.getInt32(1)});
      case Opcode::kFence:
        return lanes_.fence();
      default:
        return nullptr;
    }
  }

  // LLVM lets the result of an fma overwrite a broadcast that dies there rather than the addend, so
  // accumulators wander through the registers, with moves and spills. An empty piece of assembly
  // that reads the broadcast keeps it alive. Where memory operands broadcast, none of this arises.
  void keep_accumulators_in_place() {
    for (llvm::Instruction& instruction : llvm::instructions(function_)) {
      auto* const fma = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
      if (fma == nullptr || fma->getIntrinsicID() != llvm::Intrinsic::fma) continue;
      for (Value* const factor : {fma->getArgOperand(0), fma->getArgOperand(1)}) {
        const auto* broadcast = llvm::dyn_cast<llvm::ShuffleVectorInst>(factor);
        if (broadcast == nullptr || !broadcast->isZeroEltSplat() || !broadcast->hasOneUse()) continue;
        auto* const type = llvm::FunctionType::get(builder_.getVoidTy(), {factor->getType()}, false);
        builder_.SetInsertPoint(fma->getNextNode());
        builder_.CreateCall(type, llvm::InlineAsm::get(type, "", "x", /*hasSideEffects=*/true), {factor});
      }
    }
  }

  const vir::Program& program_;
  const Target& target_;
  std::vector<int32_t> match_;
  llvm::Function& function_;
  llvm::IRBuilder<> builder_;
  LaneOps lanes_;
  std::array<std::vector<Value*>, vir::kKinds> values_;  // null: holds no value here
  std::vector<Block> open_;
  Value* outgoing_ = nullptr;
  Value* result_ = nullptr;
  bool after_load_ = false;
};

// All that can be reached through a pointer begins with a mark (endbr64, bti), returns match calls. The flags
// are what an object says of it, the attribute is what AArch64's code generator reads.
void protect_branches(llvm::Module& module, Isa isa) {
  const auto set = [&](const char* flag) { module.addModuleFlag(llvm::Module::Min, flag, 1); };
  if (isa == Isa::kNeon) {
    set("branch-target-enforcement");
    for (llvm::Function& function : module) function.addFnAttr("branch-target-enforcement");
  } else {
    set("cf-protection-branch");
    set("cf-protection-return");
  }
}

llvm::Function* declare(llvm::Module& module, const vir::Program& program, const Target& target,
                        bool to_ship) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* const pointer = llvm::PointerType::get(context, 0);
  llvm::Type* const number = llvm::Type::getInt64Ty(context);
  const bool is_c_function = !program.params.empty();
  std::vector<llvm::Type*> params = {pointer, number};
  if (is_c_function) {
    params.clear();
    for (const vir::Arg arg : program.params) params.push_back(vir::is_pointer(arg) ? pointer : number);
  }
  auto* const type = llvm::FunctionType::get(number, params, false);
  auto* const function =
      llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, program.name, module);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  function->setDSOLocal(true);
  const CpuAttributes cpu = cpu_attributes(target.isa);
  function->addFnAttr("tune-cpu", cpu.tune);
  function->addFnAttr("target-features", cpu.features);
  function->addFnAttr("prefer-vector-width", cpu.vector_bits);
  function->addFnAttr("min-legal-vector-width", cpu.vector_bits);
  // The code must not turn into calls of memcpy and the like.
  function->addFnAttr("no-builtins");
  function->addFnAttr("frame-pointer", "none");
  function->setDoesNotThrow();
  if (to_ship) function->setUWTableKind(llvm::UWTableKind::Sync);
  function->setAlignment(llvm::Align(64));
  if (!is_c_function) {
    function->addParamAttr(0, llvm::Attribute::NoAlias);
    function->addParamAttr(0, llvm::Attribute::ReadOnly);
    function->addDereferenceableParamAttr(0, sizeof(KernelArgs));
  }
  return function;
}

}  // namespace

std::unique_ptr<llvm::Module> emit_module(std::span<const vir::Program> functions, const Target& target,
                                          bool to_ship, llvm::LLVMContext& context) {
  auto module = std::make_unique<llvm::Module>(functions.front().name, context);
  std::vector<llvm::Function*> declared;
  for (const vir::Program& function : functions)
    declared.push_back(declare(*module, function, target, to_ship));
  if (to_ship) protect_branches(*module, target.isa);
  for (size_t i = 0; i < functions.size(); ++i) Emitter(functions[i], target, *declared[i]).run();
  return module;
}

}  // namespace convsmith::llvm_backend

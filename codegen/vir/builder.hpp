// Builds vir programs instruction by instruction. Functions that return a register make a new one;
// functions that take a destination first write into it.
#pragma once

#include <bit>

#include "codegen/vir/vir.hpp"

namespace convsmith::vir {

class Builder {
 public:
  Builder(std::string name, int lanes) {
    program_.name = std::move(name);
    program_.lanes = lanes;
    program_.body.reserve(1024);
  }

  int lanes() const { return program_.lanes; }
  int64_t vector_bytes() const { return int64_t{4} * program_.lanes; }
  Program take() { return std::move(program_); }
  void set_scratch_bytes(int64_t bytes) { program_.scratch_bytes = bytes; }
  int64_t scratch_bytes() const { return program_.scratch_bytes; }

  P ptr() { return {program_.registers[0]++}; }
  I integer() { return {program_.registers[1]++}; }
  V vec() { return {program_.registers[2]++}; }
  M mask() { return {program_.registers[3]++}; }

  // Arguments, integers, pointers
  P arg_ptr(Arg a) { return def(ptr(), Opcode::kArgPtr, static_cast<int64_t>(a)); }
  I arg_int(Arg a) { return def(integer(), Opcode::kArgInt, static_cast<int64_t>(a)); }
  I iconst(int64_t n) { return def(integer(), Opcode::kIntConst, n); }
  void iconst(I d, int64_t n) { emit(Opcode::kIntConst, {d.id}, n); }
  void icopy(I d, I a) { emit(Opcode::kIntCopy, {d.id, a.id}); }
  I icopy(I a) { return def(integer(), Opcode::kIntCopy, a); }
  void iadd(I d, I a, I b) { emit(Opcode::kIntAdd, {d.id, a.id, b.id}); }
  I iadd(I a, I b) { return def(integer(), Opcode::kIntAdd, a, b); }
  void iaddc(I d, I a, int64_t n) { emit(Opcode::kIntAddC, {d.id, a.id}, n); }
  I iaddc(I a, int64_t n) { return def_c(integer(), Opcode::kIntAddC, a, n); }
  I isub(I a, I b) { return def(integer(), Opcode::kIntSub, a, b); }
  I imul(I a, I b) { return def(integer(), Opcode::kIntMul, a, b); }
  I imulc(I a, int64_t n) { return def_c(integer(), Opcode::kIntMulC, a, n); }
  I imin(I a, I b) { return def(integer(), Opcode::kIntMin, a, b); }
  I imax(I a, I b) { return def(integer(), Opcode::kIntMax, a, b); }
  I idiv(I a, I b) { return def(integer(), Opcode::kIntDiv, a, b); }
  I pint(P a) { return def(integer(), Opcode::kPtrInt, a); }
  I idivc(I a, int64_t n) { return def_c(integer(), Opcode::kIntDivC, a, n); }
  void pcopy(P d, P a) { emit(Opcode::kPtrCopy, {d.id, a.id}); }
  P pcopy(P a) { return def(ptr(), Opcode::kPtrCopy, a); }
  void padd(P d, P a, I b) { emit(Opcode::kPtrAdd, {d.id, a.id, b.id}); }
  P padd(P a, I b) { return def(ptr(), Opcode::kPtrAdd, a, b); }
  void paddc(P d, P a, int64_t n) { emit(Opcode::kPtrAddC, {d.id, a.id}, n); }
  P paddc(P a, int64_t n) { return def_c(ptr(), Opcode::kPtrAddC, a, n); }

  // Blocks: `body` is called once, between the opener and its end.
  template <class Body>
  void loop(I counter, std::string_view label, Body&& body) {
    block(Opcode::kLoop, {counter.id}, label, body);
  }
  template <class Body>
  void while_less(I a, I b, std::string_view label, Body&& body) {
    block(Opcode::kWhile, {a.id, b.id}, label, body);
  }
  template <class Body>
  void if_less(I a, I b, std::string_view label, Body&& body) {
    block(Opcode::kIf, {a.id, b.id}, label, body);
  }
  template <class Body>
  void within(I a, int64_t n, I b, Body&& body) {
    emit(Opcode::kWithin, {a.id, b.id}, n);
    body();
    emit(Opcode::kEnd, {});
  }

  // Calls
  void set_params(std::vector<Arg> params) { program_.params = std::move(params); }
  void set(Arg a, P p) { emit(Opcode::kSetPtr, {p.id}, static_cast<int64_t>(a)); }
  void set(Arg a, I i) { emit(Opcode::kSetInt, {i.id}, static_cast<int64_t>(a)); }
  I call(std::string_view function) { return def(integer(), Opcode::kCall, name(function)); }
  void fork(I parts, std::string_view function) { emit(Opcode::kFork, {parts.id}, name(function)); }
  I part() { return def(integer(), Opcode::kPart, 0); }
  I modes() { return def(integer(), Opcode::kModes, 0); }
  I flushing(I modes) { return def(integer(), Opcode::kFlushing, modes); }
  void set_modes(I modes) { emit(Opcode::kSetModes, {modes.id}); }
  P data(std::string_view symbol) { return def(ptr(), Opcode::kData, name(symbol)); }
  void result(I i) { emit(Opcode::kResultInt, {i.id}); }
  void result(P p) { emit(Opcode::kResultPtr, {p.id}); }
  I load_int(P p, int64_t offset) { return def_c(integer(), Opcode::kLoadInt, p, offset); }
  P load_ptr(P p, int64_t offset) { return def_c(ptr(), Opcode::kLoadPtr, p, offset); }

  // Memory
  void load(V d, P p, int64_t offset) { emit(Opcode::kLoad, {d.id, p.id}, offset); }
  V load(P p, int64_t offset) { return def_c(vec(), Opcode::kLoad, p, offset); }
  void load(V d, P p, int64_t offset, M m) { emit(Opcode::kLoadMask, {d.id, p.id, m.id}, offset); }
  V load4(P p, int64_t offset) { return def_c(vec(), Opcode::kLoad4, p, offset); }
  V load8(P p, int64_t offset) { return def_c(vec(), Opcode::kLoad8, p, offset); }
  // `block` 1 to 3.
  V insert(V a, int block, P p, int64_t offset) {
    const V d = vec();
    emit(static_cast<Opcode>(static_cast<int>(Opcode::kInsert1) + block - 1), {d.id, a.id, p.id}, offset);
    return d;
  }
  void bcast(V d, P p, int64_t offset) { emit(Opcode::kBcast, {d.id, p.id}, offset); }
  void store(P p, int64_t offset, V a) { emit(Opcode::kStore, {p.id, a.id}, offset); }
  void store(P p, int64_t offset, V a, M m) { emit(Opcode::kStoreMask, {p.id, a.id, m.id}, offset); }

  void stream(P p, int64_t offset, V a) { emit(Opcode::kStream, {p.id, a.id}, offset); }
  void fence() { emit(Opcode::kFence, {}); }
  void prefetch(P p, int64_t offset) { emit(Opcode::kPrefetch, {p.id}, offset); }

  // Vectors
  V constant(float x) { return def(vec(), Opcode::kConst, std::bit_cast<uint32_t>(x)); }
  V constant_bits(uint32_t bits) { return def(vec(), Opcode::kConst, bits); }
  void constant(V d, float x) { emit(Opcode::kConst, {d.id}, std::bit_cast<uint32_t>(x)); }
  void copy(V d, V a) { emit(Opcode::kCopy, {d.id, a.id}); }
  void fma(V d, V a, V b, V c) { emit(Opcode::kFma, {d.id, a.id, b.id, c.id}); }
  V fma(V a, V b, V c) {
    const V d = vec();
    fma(d, a, b, c);
    return d;
  }
  void op(Opcode opcode, V d, V a, V b) { emit(opcode, {d.id, a.id, b.id}); }
  V add(V a, V b) { return def(vec(), Opcode::kAdd, a, b); }
  V sub(V a, V b) { return def(vec(), Opcode::kSub, a, b); }
  V mul(V a, V b) { return def(vec(), Opcode::kMul, a, b); }
  V div(V a, V b) { return def(vec(), Opcode::kDiv, a, b); }
  V max(V a, V b) { return def(vec(), Opcode::kMax, a, b); }
  V min(V a, V b) { return def(vec(), Opcode::kMin, a, b); }
  V sqrt(V a) { return def(vec(), Opcode::kSqrt, a); }
  V bit_and(V a, V b) { return def(vec(), Opcode::kAnd, a, b); }
  V bit_or(V a, V b) { return def(vec(), Opcode::kOr, a, b); }
  V bit_xor(V a, V b) { return def(vec(), Opcode::kXor, a, b); }
  V add32(V a, V b) { return def(vec(), Opcode::kAdd32, a, b); }
  V sub32(V a, V b) { return def(vec(), Opcode::kSub32, a, b); }
  V shl32(V a, int n) { return def_c(vec(), Opcode::kShl32, a, n); }
  V shr32(V a, int n) { return def_c(vec(), Opcode::kShr32, a, n); }
  V blocks(V a, V b, int64_t pattern) {
    const V d = vec();
    blocks(d, a, b, pattern);
    return d;
  }
  void blocks(V d, V a, V b, int64_t pattern) { emit(Opcode::kBlocks, {d.id, a.id, b.id}, pattern); }
  V zip(Opcode opcode, V a, V b) { return def(vec(), opcode, a, b); }

  // Masks
  M less(V a, V b) { return def(mask(), Opcode::kLess, a, b); }
  M less_equal(V a, V b) { return def(mask(), Opcode::kLessEqual, a, b); }
  M equal(V a, V b) { return def(mask(), Opcode::kEqual, a, b); }
  M unordered(V a, V b) { return def(mask(), Opcode::kUnordered, a, b); }
  M first(I n) { return def(mask(), Opcode::kFirst, n); }
  M between(I a, I b) { return def(mask(), Opcode::kBetween, a, b); }
  void select(V d, M m, V a, V b) { emit(Opcode::kSelect, {d.id, m.id, a.id, b.id}); }
  V select(M m, V a, V b) {
    const V d = vec();
    select(d, m, a, b);
    return d;
  }

 private:
  void emit(Opcode op, std::array<uint16_t, 4> regs, int64_t imm = 0) {
    program_.body.push_back({op, regs, imm});
  }
  int64_t name(std::string_view text) {
    program_.labels.emplace_back(text);
    return static_cast<int64_t>(program_.labels.size()) - 1;
  }
  template <class D>
  D def(D d, Opcode op, int64_t imm) {
    emit(op, {d.id}, imm);
    return d;
  }
  template <class D, class A>
  requires requires(A a) { a.id; }
  D def(D d, Opcode op, A a) {
    emit(op, {d.id, a.id});
    return d;
  }
  template <class D, class A, class B>
  D def(D d, Opcode op, A a, B b) {
    emit(op, {d.id, a.id, b.id});
    return d;
  }
  template <class D, class A>
  D def_c(D d, Opcode op, A a, int64_t imm) {
    emit(op, {d.id, a.id}, imm);
    return d;
  }
  template <class Body>
  void block(Opcode op, std::array<uint16_t, 4> regs, std::string_view label, Body& body) {
    emit(op, regs, name(label));
    body();
    emit(Opcode::kEnd, {});
  }

  Program program_;
};

}  // namespace convsmith::vir

// What a verification reached: how many cases ran each padding, layout, activation, data kind and part of the
// generated code. The facts follow from the spec, the scheduled nest and the sizes of the call by the same
// rules as the code's own control flow, so nothing has to be instrumented. Used by verify.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/random_layer.hpp"
#include "codegen/target.hpp"
#include "convsmith/layer_spec.hpp"
#include "ir/nest.hpp"

namespace convsmith::cli {

class Coverage {
 public:
  struct Row {
    std::string group;
    std::string name;
    int64_t cases = 0;
  };

  Coverage();

  // One case: its layer, its nests, each scheduled for one target, and its call. A row counts a case once.
  struct Scheduled {
    const ir::LoopNest* nest;
    const Target* target;
  };
  void add(const LayerSpec& spec, const std::vector<Scheduled>& nests, const Call& call);
  // A case that ran on `back_end`, "xbyak avx2" for example, which gets a row if it has none.
  void add_back_end(std::string_view back_end);
  void add_threads(int threads);
  void merge(const Coverage& other);

  const std::vector<Row>& rows() const { return rows_; }
  // "group: name" of the rows that no case ran.
  std::vector<std::string> missing() const;
  // A line for each group.
  std::string print() const;

 private:
  void hit(std::string_view group, std::string_view name);
  void hit_spec(const LayerSpec& spec, const Problem& problem);
  void hit_call(const Problem& problem, const Call& call);
  void hit_nest(const ir::LoopNest& nest, const Target& target, const Call& call);
  void hit_units(const ir::LoopNest& nest, const Target& target);
  void hit_bands(const ir::LoopNest& nest, const Target& target, const Call& call);
  void count();

  std::vector<Row> rows_;
  std::vector<bool> seen_;  // rows of the case being added
};

}  // namespace convsmith::cli

// In-register transposes of at most lanes x lanes floats, as vir. Called by lower/stage, lower/store
// (staging for lanes over steps), transpose_program and row_programs.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "codegen/vir/builder.hpp"

namespace convsmith {

// Lane j of result i is lane i of row j, for the first `columns` results. `rows` may be fewer than lanes:
// their lanes of the results mean nothing. Hardly more than `lanes` registers are live at a time.
std::vector<vir::V> transpose(vir::Builder& b, const std::vector<vir::V>& rows, int64_t columns);

// Columns of lanes x lanes floats in memory, rows `pitch` bytes (a register) apart, or back to back. Where
// memory is what is turned, this takes half the shuffles: blocks of four go to their place as they are
// loaded.
std::vector<vir::V> load_columns(vir::Builder& b, vir::P from, vir::I pitch);
std::vector<vir::V> load_columns(vir::Builder& b, vir::P from);
// Of these only the columns [first, end); `first` is a multiple of four.
std::vector<vir::V> load_columns(vir::Builder& b, vir::P from, vir::I pitch, int64_t first, int64_t end);
std::vector<vir::V> load_columns(vir::Builder& b, vir::P from, int64_t first, int64_t end);
// The first columns of rows `row_bytes` apart. Reads up to a multiple of four floats of each row.
std::vector<vir::V> load_near_columns(vir::Builder& b, vir::P from, int64_t row_bytes, int64_t columns);

// In each block of four lanes: lane i of result j is lane j of row i.
std::array<vir::V, 4> zip_quad(vir::Builder& b, const std::array<vir::V, 4>& rows);

// The columns of `rows`, at most `lanes` and a multiple of four, one after the other in as many vectors.
std::vector<vir::V> interleave(vir::Builder& b, const std::vector<vir::V>& rows);

// A hint that `lanes` rows, `pitch` bytes apart, are read or written soon.
void prefetch_rows(vir::Builder& b, vir::P from, vir::I pitch);

// `lanes` vectors that lie `pitch` bytes (a register) apart; only the lanes of `mask`.
std::vector<vir::V> load_rows(vir::Builder& b, vir::P from, vir::I pitch, std::optional<vir::M> mask = {});
void store_rows(vir::Builder& b, vir::P to, vir::I pitch, const std::vector<vir::V>& rows,
                std::optional<vir::M> mask = {});

// The same for vectors back to back.
void store_tile(vir::Builder& b, vir::P to, const std::vector<vir::V>& rows);

}  // namespace convsmith

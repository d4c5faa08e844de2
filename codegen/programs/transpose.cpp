#include "codegen/programs/transpose.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace convsmith {

using vir::Opcode;
using vir::P;
using vir::V;

std::array<V, 4> zip_quad(vir::Builder& b, const std::array<V, 4>& rows) {
  std::array<V, 4> columns;
  for (size_t half = 0; half < 2; ++half) {
    const Opcode zip = half == 0 ? Opcode::kZip32Lo : Opcode::kZip32Hi;
    const V upper = b.zip(zip, rows[0], rows[1]);
    const V lower = b.zip(zip, rows[2], rows[3]);
    columns[2 * half] = b.zip(Opcode::kZip64Lo, upper, lower);
    columns[2 * half + 1] = b.zip(Opcode::kZip64Hi, upper, lower);
  }
  return columns;
}

// Two zips within blocks of four lanes, then the blocks themselves, level by level; what the results do
// not need is left out.
std::vector<V> transpose(vir::Builder& b, const std::vector<V>& rows, int64_t columns) {
  const auto needed = static_cast<size_t>(columns);
  const size_t groups = static_cast<size_t>(b.lanes()) / 4;
  const size_t present = (rows.size() + 3) / 4;  // groups of four rows that exist
  const auto row = [&](size_t i) { return rows[std::min(i, rows.size() - 1)]; };
  // Column 4k + j of rows 4g..4g+3 in block k.
  std::array<std::array<V, 4>, 4> quads{};
  for (size_t g = 0; g < present; ++g) {
    std::array<V, 4> pairs{};
    for (size_t h = 0; h < 2; ++h) {
      const V even = row(4 * g + 2 * h);
      const V odd = row(4 * g + 2 * h + 1);
      pairs[h] = b.zip(Opcode::kZip32Lo, even, odd);
      if (needed > 2) pairs[2 + h] = b.zip(Opcode::kZip32Hi, even, odd);
    }
    for (size_t j = 0; j < std::min<size_t>(4, needed); ++j) {
      const size_t h = j < 2 ? 0 : 2;
      quads[g][j] = b.zip(j % 2 == 0 ? Opcode::kZip64Lo : Opcode::kZip64Hi, pairs[h], pairs[h + 1]);
    }
  }
  std::vector<V> result(needed);
  const auto put = [&](size_t i, V left, V right, int64_t pattern) {
    if (i < needed) result[i] = b.blocks(left, right, pattern);
  };
  for (size_t j = 0; j < std::min<size_t>(4, needed); ++j) {
    const auto quad = [&](size_t g) { return quads[std::min(g, present - 1)][j]; };
    if (groups == 1) result[j] = quad(0);
    if (groups == 2) {
      put(j, quad(0), quad(1), 0x20);
      put(4 + j, quad(0), quad(1), 0x31);
    }
    if (groups == 4) {
      for (size_t odd = 0; odd < 2; ++odd) {
        if (4 * odd + j >= needed) continue;
        const int64_t pick = odd == 0 ? 0x6420 : 0x7531;
        const V left = b.blocks(quad(0), quad(1), pick);
        const V right = b.blocks(quad(2), quad(3), pick);
        put(4 * odd + j, left, right, 0x6420);
        put(8 + 4 * odd + j, left, right, 0x7531);
      }
    }
  }
  return result;
}

namespace {

// The columns [first, end) of rows 0 to lanes - 1, `first` a multiple of four; place(j) is called in this
// order and gives where row j begins.
template <class Place>
std::vector<V> columns_of(vir::Builder& b, int64_t first, int64_t end, Place&& place) {
  // Row 4g + i, columns 4q to 4q + 3, in block g of quads[q][i].
  std::array<std::array<V, 4>, 4> quads{};
  for (int j = 0; j < b.lanes(); ++j) {
    const auto [row, offset] = place(j);
    for (int64_t q = first / 4; 4 * q < end; ++q) {
      V& quad = quads[static_cast<size_t>(q)][static_cast<size_t>(j % 4)];
      quad = j < 4 ? b.load4(row, offset + 16 * q) : b.insert(quad, j / 4, row, offset + 16 * q);
    }
  }
  std::vector<V> columns;
  for (int64_t q = first / 4; 4 * q < end; ++q) {
    const auto& [a, c, d, e] = quads[static_cast<size_t>(q)];
    for (const Opcode zip : {Opcode::kZip32Lo, Opcode::kZip32Hi}) {
      if (first + static_cast<int64_t>(columns.size()) >= end) break;
      const V upper = b.zip(zip, a, c);
      const V lower = b.zip(zip, d, e);
      columns.push_back(b.zip(Opcode::kZip64Lo, upper, lower));
      if (first + static_cast<int64_t>(columns.size()) >= end) break;
      columns.push_back(b.zip(Opcode::kZip64Hi, upper, lower));
    }
  }
  return columns;
}

}  // namespace

std::vector<V> load_columns(vir::Builder& b, P from, vir::I pitch, int64_t first, int64_t end) {
  const P row = b.pcopy(from);
  return columns_of(b, first, end, [&](int j) {
    if (j > 0) b.padd(row, row, pitch);
    return std::pair(row, int64_t{0});
  });
}

std::vector<V> load_columns(vir::Builder& b, P from, vir::I pitch) {
  return load_columns(b, from, pitch, 0, b.lanes());
}

std::vector<V> load_columns(vir::Builder& b, P from, int64_t first, int64_t end) {
  return columns_of(b, first, end, [&](int j) { return std::pair(from, j * b.vector_bytes()); });
}

std::vector<V> load_columns(vir::Builder& b, P from) {
  return load_columns(b, from, 0, b.lanes());
}

std::vector<V> load_near_columns(vir::Builder& b, P from, int64_t row_bytes, int64_t columns) {
  return columns_of(b, 0, columns, [&](int j) { return std::pair(from, j * row_bytes); });
}

// Within blocks first: block k of items[m] is what stands at place k * items + m of the result.
std::vector<V> interleave(vir::Builder& b, const std::vector<V>& rows) {
  const size_t blocks = static_cast<size_t>(b.lanes()) / 4;
  const size_t quads = rows.size() / 4;
  std::vector<V> items(rows.size());  // quad g of column 4k + j, in block k of items[j * quads + g]
  for (size_t g = 0; g < quads; ++g) {
    const std::array<V, 4> columns =
        zip_quad(b, {rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]});
    for (size_t j = 0; j < 4; ++j) items[j * quads + g] = columns[j];
  }
  if (blocks == 1) return items;
  std::vector<V> result(rows.size());
  const size_t apart = items.size() / blocks;  // results from block k of an item to block k + 1
  for (size_t m = 0; m < items.size(); m += blocks) {
    const auto put = [&](size_t k, V x, V y, int64_t pattern) {
      result[k * apart + m / blocks] = b.blocks(x, y, pattern);
    };
    if (blocks == 2) {
      put(0, items[m], items[m + 1], 0x20);
      put(1, items[m], items[m + 1], 0x31);
      continue;
    }
    for (size_t half = 0; half < 2; ++half) {
      const int64_t pick = half == 0 ? 0x5410 : 0x7632;
      const V left = b.blocks(items[m], items[m + 1], pick);
      const V right = b.blocks(items[m + 2], items[m + 3], pick);
      put(2 * half, left, right, 0x6420);
      put(2 * half + 1, left, right, 0x7531);
    }
  }
  return result;
}

void prefetch_rows(vir::Builder& b, P from, vir::I pitch) {
  const P row = b.pcopy(from);
  for (int j = 0; j < b.lanes(); ++j) {
    if (j > 0) b.padd(row, row, pitch);
    b.prefetch(row, 0);
  }
}

std::vector<V> load_rows(vir::Builder& b, P from, vir::I pitch, std::optional<vir::M> mask) {
  std::vector<V> rows;
  const P p = b.pcopy(from);
  for (int j = 0; j < b.lanes(); ++j) {
    if (j > 0) b.padd(p, p, pitch);
    rows.push_back(b.vec());
    if (mask) {
      b.load(rows.back(), p, 0, *mask);
    } else {
      b.load(rows.back(), p, 0);
    }
  }
  return rows;
}

void store_rows(vir::Builder& b, P to, vir::I pitch, const std::vector<V>& rows, std::optional<vir::M> mask) {
  const P p = b.pcopy(to);
  for (size_t j = 0; j < rows.size(); ++j) {
    if (j > 0) b.padd(p, p, pitch);
    if (mask) {
      b.store(p, 0, rows[j], *mask);
    } else {
      b.store(p, 0, rows[j]);
    }
  }
}

void store_tile(vir::Builder& b, P to, const std::vector<V>& rows) {
  for (size_t j = 0; j < rows.size(); ++j) b.store(to, static_cast<int64_t>(j) * b.vector_bytes(), rows[j]);
}

}  // namespace convsmith

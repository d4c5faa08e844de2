// Channels-first operations that are faster the other way round, computed channels last between transposes.
#pragma once

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// Whether the products of a channels-first problem fill vectors of filters so well, and are so many for each
// value, that turning input and output costs less than lanes over steps do: these read their weights one by
// one, and an edge leaves them idle.
bool prefers_channels_last(const Problem& p);

// Turns those problems, and what stands between them: transposes that meet cancel each other. Not a bit of
// the results changes.
Graph turn(Graph graph);

}  // namespace convsmith::ir

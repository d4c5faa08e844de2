#include "bench/peers/check.hpp"

namespace convsmith::bench {
namespace {

double best_ratio(const Row& row, Layout layout) {
  const Entry* const peer = row.best_peer(layout);
  return peer != nullptr ? row.ratio(*peer) : 0;
}

double limit_share(const Row& row, Layout layout) {
  const Entry* const ours = row.ours(layout);
  return ours != nullptr ? row.limit_share(*ours) : 0;
}

}  // namespace

std::vector<Change> find_slower(const Table& stored, const Table& now, double tolerance) {
  std::vector<Change> changes;
  for (const Row& row : now.rows) {
    const Row* const old = stored.find(row.name);
    if (old == nullptr) continue;
    for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
      const auto compare = [&](const char* what, double (*value)(const Row&, Layout)) {
        const double before = value(*old, layout);
        const double found = value(row, layout);
        if (before <= 0 || found <= 0 || found >= before * (1 - tolerance)) return;
        const char* const suffix = layout == Layout::kChannelsFirst ? ", channels first" : "";
        changes.push_back({row.name, std::string(what) + suffix, before, found});
      };
      compare("share of the limit", limit_share);
      compare("best peer's time over ours", best_ratio);
    }
  }
  return changes;
}

}  // namespace convsmith::bench

#include "bench/peers/check.hpp"

namespace convsmith::bench {

std::vector<Change> find_slower(const Table& stored, const Table& now, double tolerance) {
  std::vector<Change> changes;
  for (const Row& row : now.rows) {
    const Row* const old = stored.find(row.name);
    if (old == nullptr) continue;
    for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
      const auto compare = [&](const char* what, double before, double found) {
        if (before <= 0 || found <= 0 || found >= before * (1 - tolerance)) return;
        const char* const suffix = layout == Layout::kChannelsFirst ? ", channels first" : "";
        changes.push_back({row.name, std::string(what) + suffix, before, found});
      };
      compare("share of the limit", old->limit_share(layout), row.limit_share(layout));
      compare("best peer's time over ours", old->best_ratio(layout), row.best_ratio(layout));
    }
  }
  return changes;
}

}  // namespace convsmith::bench

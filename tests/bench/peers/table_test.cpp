// Measurements as values: quotients, JSON, merging, what got slower, and the reports.
#include "bench/peers/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/peers/check.hpp"
#include "bench/peers/report.hpp"

namespace convsmith::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Layout kLast = Layout::kChannelsLast;
constexpr Layout kFirst = Layout::kChannelsFirst;

Entry entry_of(const std::string& name, const std::string& library, double us, Layout layout = kLast) {
  Entry entry;
  entry.name = name;
  entry.library = library;
  entry.layout = layout;
  entry.min_us = us;
  entry.p50_us = us * 1.5;
  entry.create_us = 7;
  return entry;
}

// 1e6 operations, of which 8e5 inside; 100 GF/s: the limit is 8 us.
Row row_of(const std::string& name, double ours_us, std::vector<Entry> peers) {
  Row row;
  row.name = name;
  row.layer_class = LayerClass::kStem;
  row.batch = 3;
  row.steps = 10;
  row.operations = 1e6;
  row.operations_inside = 8e5;
  row.bytes = 1e3;
  row.level = Level::kL2;
  row.peak_gflops = 100;
  row.bandwidth_gbs = 50;
  row.entries = {entry_of(kOurs, kOurs, ours_us)};
  row.entries.insert(row.entries.end(), peers.begin(), peers.end());
  return row;
}

Table table_of(std::vector<Row> rows) {
  return {"a CPU", "xbyak", "avx2", {"oneDNN 2.6"}, {400, 200, 100, 10}, std::move(rows), 1};
}

TEST(PeersTable, WorksOutQuotients) {
  Entry wrong = entry_of("oneDNN nhwc", "oneDNN", 1);
  wrong.problem = "differs";
  const Row row = row_of("a", 10,
                         {entry_of("oneDNN nwc", "oneDNN", 20), wrong, entry_of("xsmm", "xsmm", 15),
                          entry_of("oneDNN ncw", "oneDNN", 5, kFirst)});
  EXPECT_DOUBLE_EQ(row.gflops(*row.ours()), 100);
  EXPECT_DOUBLE_EQ(row.peak_share(*row.ours()), 1);
  EXPECT_DOUBLE_EQ(row.limit_us(), 8);
  EXPECT_DOUBLE_EQ(row.limit_share(*row.ours()), 0.8);
  EXPECT_EQ(row.best_peer(kLast)->name, "xsmm");
  EXPECT_DOUBLE_EQ(row.ratio(*row.best_peer(kLast)), 1.5);
  EXPECT_EQ(row.best_peer(kLast, "oneDNN")->name, "oneDNN nwc");
  // There is nothing of ours in that layout to hold it against.
  EXPECT_EQ(row.best_peer(kFirst), nullptr);
}

TEST(PeersTable, GoesThroughJson) {
  Table table = table_of({row_of("a", 10, {entry_of("oneDNN nwc", "oneDNN", 20)}), row_of("b", 5, {})});
  table.rows[0].entries[1].problem = "differs <by> 1";
  table.rows[0].entries[1].ours_us = 3;
  table.rows[0].entries[1].difference = 0.5;
  const nlohmann::json json = to_json(table);
  const Table again = table_from_json(json.dump(), "x.json").value();
  EXPECT_EQ(to_json(again), json);
  EXPECT_EQ(again.rows[0].entries[1].problem, "differs <by> 1");
  EXPECT_EQ(again.rows[0].layer_class, LayerClass::kStem);
  EXPECT_DOUBLE_EQ(again.rows[1].limit_us(), 8);
}

TEST(PeersTable, RefusesOtherFiles) {
  for (const char* text : {"", "[]", "{}", "{\"rows\": 3}", "{\"rows\": [{}]}", "{\"rows\": [{\"name\": 1}]}",
                           "{\"rows\": [{\"name\": \"a\", \"class\": \"huge\", \"entries\": []}]}",
                           "{\"rows\": [{\"name\": \"a\", \"entries\": [{\"name\": \"b\"}]}]}"}) {
    const auto table = table_from_json(text, "x.json");
    ASSERT_FALSE(table) << text;
    EXPECT_EQ(table.error().code, ErrorCode::kInvalidData);
    EXPECT_THAT(table.error().message, HasSubstr("x.json is no table of the benchmark of peers"));
  }
}

TEST(PeersTable, MergesPeersWithOursOfTheirOwnRounds) {
  Table table = table_of({row_of("a", 10, {entry_of("oneDNN nwc", "oneDNN", 20)}), row_of("b", 10, {})});
  // On a machine that was busy: half as fast, ours as well.
  const Table other =
      table_of({row_of("a", 20, {entry_of("TensorFlow", "TensorFlow", 30)}), row_of("c", 1, {})});
  merge(table, other);
  merge(table, other);  // replaces
  ASSERT_EQ(table.rows.size(), 2U);
  ASSERT_EQ(table.rows[0].entries.size(), 3U);
  EXPECT_EQ(table.rows[1].entries.size(), 1U);
  EXPECT_EQ(table.rows[0].best_peer(kLast)->name, "TensorFlow");
  EXPECT_DOUBLE_EQ(table.rows[0].ratio(*table.rows[0].best_peer(kLast)), 1.5);
  EXPECT_THAT(table.libraries(), ElementsAre("oneDNN", "TensorFlow"));
}

TEST(PeersCheck, FindsWhatGotSlower) {
  const Table stored = table_of({row_of("a", 10, {entry_of("x", "x", 20)}), row_of("b", 10, {})});
  EXPECT_TRUE(find_slower(stored, stored, 0.0).empty());
  // 8 % slower.
  Table now =
      table_of({row_of("a", 10.8, {entry_of("x", "x", 20)}), row_of("b", 9, {}), row_of("new", 100, {})});
  EXPECT_TRUE(find_slower(stored, now, 0.1).empty());
  const std::vector<Change> changes = find_slower(stored, now, 0.05);
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].row, "a");
  EXPECT_THAT(changes[0].what, HasSubstr("limit"));
  EXPECT_DOUBLE_EQ(changes[0].before, 0.8);
  EXPECT_THAT(changes[1].what, HasSubstr("best peer"));
  EXPECT_DOUBLE_EQ(changes[1].before, 2);
}

TEST(PeersCheck, ComparesWhatBothHave) {
  const Table stored = table_of({row_of("a", 10, {entry_of("x", "x", 20)})});
  Table now = table_of({row_of("a", 10, {})});  // without peers
  EXPECT_TRUE(find_slower(stored, now, 0.1).empty());
  // A clock of half the speed is no change, nor is the rest of the machine.
  now.rows[0] = row_of("a", 20, {});
  now.rows[0].peak_gflops = 50;
  EXPECT_TRUE(find_slower(stored, now, 0.1).empty());
  // The same for the other layout.
  Table first = stored;
  first.rows[0].entries.push_back(entry_of(kOurs, kOurs, 10, kFirst));
  Table slower = first;
  slower.rows[0].entries.back().min_us = 20;
  ASSERT_EQ(find_slower(first, slower, 0.1).size(), 1U);
  EXPECT_THAT(find_slower(first, slower, 0.1)[0].what, HasSubstr("channels first"));
}

TEST(PeersReport, TakesGeometricMeans) {
  EXPECT_DOUBLE_EQ(geometric_mean({2, 8}), 4);
  EXPECT_EQ(geometric_mean({}), 0);
  const Table table = table_of({row_of("a", 10, {entry_of("x", "x", 20), entry_of("y", "y", 30)}),
                                row_of("b", 10, {entry_of("x", "x", 80)}), row_of("c", 10, {})});
  const Sheet means = mean_sheet(table, kLast);
  ASSERT_EQ(means.rows.size(), 4U);
  EXPECT_THAT(means.rows[0], ElementsAre("the best of all peers", "2", "4.00", "80.0 %"));
  EXPECT_THAT(means.rows[1], ElementsAre("x", "2", "4.00", "-"));
  EXPECT_THAT(means.rows[2], ElementsAre("y", "1", "3.00", "-"));
  EXPECT_THAT(means.rows[3], ElementsAre("stem", "2", "4.00", "80.0 %"));
}

TEST(PeersReport, NamesTheLayersThatAreBehind) {
  const Table table =
      table_of({row_of("ahead", 10, {entry_of("x", "x", 20)}), row_of("close", 10, {entry_of("x", "x", 9.8)}),
                row_of("behind", 10, {entry_of("x", "x", 9)}), row_of("far", 10, {entry_of("y", "y", 5)}),
                row_of("alone", 10, {})});
  const Sheet sheet = behind_sheet(table, kLast);
  EXPECT_THAT(sheet.title, HasSubstr("2 of 4 layers"));
  ASSERT_EQ(sheet.rows.size(), 2U);
  EXPECT_THAT(sheet.rows[0], ElementsAre("far", "y", "0.50"));
  EXPECT_THAT(sheet.rows[1], ElementsAre("behind", "x", "0.90"));
}

TEST(PeersReport, SaysWhatWasWrong) {
  Table table = table_of({row_of("a", 10, {entry_of("x", "x", 20)})});
  table.rows[0].entries[1].problem = "differs by 0.5";
  for (const std::string& text : {as_text(table, sheets_of(table)), as_markdown(table, sheets_of(table)),
                                  as_html(table, sheets_of(table))}) {
    EXPECT_THAT(text, HasSubstr("wrong"));
    EXPECT_THAT(text, HasSubstr("differs by 0.5"));
  }
}

TEST(PeersReport, SpreadsTheSharesOfAClass) {
  Table table = table_of({row_of("a", 10, {}), row_of("b", 10, {}), row_of("c", 10, {})});
  const Sheet sheet = spread_sheet(table, kLast);
  ASSERT_EQ(sheet.rows.size(), 2U);
  EXPECT_THAT(sheet.rows[0], ElementsAre("stem", "3", "80.0 %", "80.0 %", "80.0 %"));
  EXPECT_EQ(sheet.rows[1][0], "all");
  EXPECT_TRUE(spread_sheet(table, kFirst).rows.empty());
  EXPECT_THAT(as_html(table, {}), HasSubstr("stem, tenth percentile"));
}

TEST(PeersTable, ACallIsPartOfAShortLimitOnly) {
  Row row = row_of("a", 10, {});
  row.call_us = 0.5;
  EXPECT_DOUBLE_EQ(row.limit_us(), 8);
  row.operations_inside /= 10;
  EXPECT_DOUBLE_EQ(row.limit_us(), 0.8 + 0.5);
}

TEST(PeersReport, WarnsWhereTheCoreWasShared) {
  Table table = table_of({row_of("a", 10, {})});
  EXPECT_THAT(as_text(table, sheets_of(table)), Not(HasSubstr("of its core")));
  table.core_share = 0.55;
  EXPECT_THAT(as_text(table, sheets_of(table)), HasSubstr("only 55 % of its core"));
}

TEST(PeersReport, PageIsWholeAndEscaped) {
  Table table = table_of({row_of("<a>", 10, {entry_of("x & y", "x", 20)}), row_of("b", 10, {})});
  table.rows[1].entries.push_back(entry_of(kOurs, kOurs, 30, kFirst));
  const std::string page = as_html(table, sheets_of(table));
  EXPECT_THAT(page, HasSubstr("&lt;a&gt;"));
  EXPECT_THAT(page, HasSubstr("x &amp; y"));
  EXPECT_THAT(page, Not(HasSubstr("<a>")));
  EXPECT_THAT(page, Not(HasSubstr("http://w.")));
  EXPECT_THAT(page, HasSubstr("Channels first"));
  EXPECT_THAT(as_html({}, {}), HasSubstr("</html>"));
}

}  // namespace
}  // namespace convsmith::bench

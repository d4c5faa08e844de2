// Kernels kept beyond the process: who reads what others wrote, what is believed, and what killed, full and
// hostile writers leave.
#include "runtime/disk_cache.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "runtime/host/private_folder.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

namespace fs = std::filesystem;
using cli_test::TemporaryFolder;
using testing::HasSubstr;
using testing::Not;

constexpr uid_t kNobody = 65534;
constexpr uint64_t kMuch = uint64_t{1} << 40;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

// Looks like weights and data that no error leaves as they are.
std::vector<uint32_t> run_bits(const std::shared_ptr<const CompiledKernel>& kernel) {
  const Problem& p = kernel->problem;
  const auto numbers = [](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 37 + 11) % 64) / 16 - 2;
    return values;
  };
  constexpr int64_t kSteps = 40;
  const auto packed =
      pack_weights(kernel, numbers(p.taps * p.group_channels() * p.filters), numbers(p.filters));
  const std::vector<float> input = numbers(kSteps * p.channels);
  std::vector<float> output(static_cast<size_t>(p.output_steps(kSteps) * p.filters));
  if (run_kernel(*kernel, packed->data, input.data(), output.data(), 1, kSteps, {}) != RunStatus::kOk)
    throw std::runtime_error("the kernel does not run");
  return bits_of(output);
}

class DiskCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    if (machine_code_places().empty()) GTEST_SKIP() << "no back end makes machine code here";
    place_ = machine_code_places().front();
  }

  static Problem problem(int64_t filters) {
    Problem p;
    p.channels = 3;
    p.filters = filters;
    p.taps = 3;
    return p;
  }

  KernelResult compile(int64_t filters) const {
    return compile_problem(problem(filters), place_.backend, place_.isa, "", process_code_memory().value());
  }

  DiskCache cache(uint64_t limit = kMuch) const { return DiskCache::open(folder_ / ".", limit).value(); }

  std::shared_ptr<const CompiledKernel> get(int64_t filters = 5) const { return get(cache(), filters); }
  std::shared_ptr<const CompiledKernel> get(const DiskCache& cache, int64_t filters) const {
    const DiskCache::Wanted wanted{"filters " + std::to_string(filters), "name", problem(filters),
                                   place_.backend, place_.isa};
    auto kernel = cache.get(wanted, *process_code_memory().value(), [&] { return compile(filters); });
    if (!kernel) throw std::runtime_error(kernel.error().message);
    return *kernel;
  }

  fs::path only_file() const {
    const auto files = files_in(folder_ / ".");
    if (files.size() != 1) throw std::runtime_error("there are " + std::to_string(files.size()) + " files");
    return files.front();
  }

  // Whatever lies in the place of the file: it is not executed, and the next one finds a good file there.
  void expect_refused_and_replaced(const std::string& what) const {
    const auto kernel = get();
    EXPECT_FALSE(kernel->from_disk) << what;
    EXPECT_EQ(run_bits(kernel), run_bits(*compile(5))) << what;
    EXPECT_TRUE(get()->from_disk) << what;
  }

  TemporaryFolder folder_;
  Place place_{};
};

TEST_F(DiskCacheTest, WhatOneWroteTheNextOneReads) {
  for (const Place& place : machine_code_places()) {
    place_ = place;
    const TemporaryFolder fresh;
    const DiskCache cache = DiskCache::open(fresh / ".", kMuch).value();
    const auto compiled = get(cache, 5);
    EXPECT_FALSE(compiled->from_disk);
    const auto read = get(cache, 5);
    EXPECT_TRUE(read->from_disk) << name_of(place);
    EXPECT_NE(read->kernel->code().bytes.data(), compiled->kernel->code().bytes.data());
    EXPECT_EQ(run_bits(read), run_bits(compiled)) << name_of(place);
    EXPECT_EQ(read->problem, compiled->problem);
    EXPECT_FALSE(get(cache, 6)->from_disk);
    EXPECT_EQ(fresh.count(), 2U);
  }
}

TEST_F(DiskCacheTest, FilesAreTheUsersAlone) {
  get();
  struct stat status {};
  ASSERT_EQ(stat(only_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  const std::string made = folder_ / "made";
  ASSERT_TRUE(DiskCache::open(made, kMuch));
  ASSERT_EQ(stat(made.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

TEST_F(DiskCacheTest, DamagedFilesAreCompiledAnew) {
  get();
  const std::string good = TemporaryFolder::read(only_file());
  for (size_t at = 0; at < good.size(); at += good.size() / 40) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    folder_.write(only_file().filename().string(), bad);
    expect_refused_and_replaced("a flip in byte " + std::to_string(at));
    fs::resize_file(only_file(), at);
    expect_refused_and_replaced("cut at byte " + std::to_string(at));
  }
  folder_.write(only_file().filename().string(), good + "x");
  expect_refused_and_replaced("a byte too many");
  fs::resize_file(only_file(), kMaxKernelFileBytes + 1);
  expect_refused_and_replaced("a file that is too long");
}

TEST_F(DiskCacheTest, AnotherKernelUnderTheNameIsRefused) {
  get(6);
  const fs::path six = only_file();
  get(5);
  for (const fs::path& file : files_in(folder_ / ".")) {
    if (file != six) fs::copy_file(six, file, fs::copy_options::overwrite_existing);
  }
  expect_refused_and_replaced("the file of another key");
}

TEST_F(DiskCacheTest, OnlyRegularFilesOfTheUserAreBelieved) {
  get();
  const fs::path file = only_file();
  const TemporaryFolder elsewhere;
  const std::string good = elsewhere / "good.kernel";
  for (const mode_t mode : {0620U, 0602U, 0666U}) {
    ASSERT_EQ(chmod(file.c_str(), mode), 0);
    expect_refused_and_replaced("mode " + std::to_string(mode));
  }
  fs::copy_file(file, good);
  fs::remove(file);
  fs::create_symlink(good, file);
  expect_refused_and_replaced("a symbolic link");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(file)));
  fs::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  expect_refused_and_replaced("a pipe");
  if (geteuid() == 0) {
    ASSERT_EQ(chown(file.c_str(), kNobody, kNobody), 0);
    expect_refused_and_replaced("the file of another user");
  }
  // A folder stays where it is; the kernel is compiled each time.
  fs::remove(file);
  fs::create_directory(file);
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(get()->from_disk);
  EXPECT_EQ(run_bits(get()), run_bits(*compile(5)));
  EXPECT_EQ(folder_.count(), 1U) << "no temporary file stays";
}

TEST_F(DiskCacheTest, TrustIsAMatterOfOwnerAndMode) {
  struct stat status {};
  status.st_uid = 1000;
  status.st_mode = S_IFREG | 0755;
  EXPECT_EQ(distrust(status, 1000), nullptr);
  EXPECT_STREQ(distrust(status, 1001), "belongs to another user");
  EXPECT_STREQ(distrust(status, 0), "belongs to another user");
  status.st_mode = S_IFREG | 0770;
  EXPECT_STREQ(distrust(status, 1000), "can be written by other users");
  status.st_mode = S_IFDIR | 01702;
  EXPECT_STREQ(distrust(status, 1000), "can be written by other users");
}

TEST_F(DiskCacheTest, FoldersThatOthersWriteToAreRefused) {
  const auto refusal = [](const std::string& folder) {
    const auto cache = DiskCache::open(folder, kMuch);
    return cache ? "none" : cache.error().message;
  };
  const std::string open = folder_ / "open";
  fs::create_directory(open);
  ASSERT_EQ(chmod(open.c_str(), 0770), 0);
  EXPECT_EQ(refusal(open),
            "CONVSMITH_CACHE_DIR is '" + open + "', which can be written by other users; nothing is cached.");
  EXPECT_THAT(refusal(folder_.write("file", "")), HasSubstr("which can't be opened: Not a directory"));
  EXPECT_THAT(refusal(folder_ / "no/folder"), HasSubstr("which can't be made: No such file"));
  EXPECT_THAT(refusal(geteuid() == 0 ? (chown(open.c_str(), kNobody, kNobody), open) : "/"),
              HasSubstr("which belongs to another user"));
}

TEST_F(DiskCacheTest, WhetherAFolderCanBeMadeIsTried) {
  const std::string fresh = folder_ / "fresh";
  EXPECT_TRUE(DiskCache::check(fresh));
  EXPECT_TRUE(DiskCache::check(fresh + "/"));
  EXPECT_FALSE(fs::exists(fresh));
  for (const char* folder : {"/proc/nope", "/sys/nope", "/dev/null/nope"}) {
    const auto checked = DiskCache::check(folder);
    ASSERT_FALSE(checked) << folder;
    EXPECT_THAT(checked.error().message, HasSubstr("which can't be "));
  }
}

// The folder is looked at for each file: what it has become since it was opened counts.
TEST_F(DiskCacheTest, AFolderThatOpensUpIsNotBelievedAnyMore) {
  const DiskCache cache = this->cache();
  get(cache, 5);
  ASSERT_TRUE(get(cache, 5)->from_disk);
  ASSERT_EQ(chmod((folder_ / ".").c_str(), 0777), 0);
  EXPECT_FALSE(get(cache, 5)->from_disk);
  EXPECT_FALSE(get(cache, 6)->from_disk);
  EXPECT_EQ(folder_.count(), 1U);
}

TEST_F(DiskCacheTest, AFolderThatCannotBeWrittenIsOnlyRead) {
  get();
  const std::string path = folder_ / ".";
  const auto reader = [&] {
    // Root may write everywhere.
    if (geteuid() == 0 && seteuid(kNobody) != 0) return false;
    const DiskCache cache = DiskCache::open(path, kMuch).value();
    return get(cache, 5)->from_disk && !get(cache, 6)->from_disk && folder_.count() == 1;
  };
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(chown(only_file().c_str(), kNobody, kNobody), 0);
  }
  ASSERT_EQ(chmod(path.c_str(), 0500), 0);
  EXPECT_EQ(run_in_child(reader), "exit 0");
  ASSERT_EQ(chmod(path.c_str(), 0700), 0);
}

TEST_F(DiskCacheTest, AWriteThatTheSystemRefusesLeavesNothing) {
  EXPECT_EQ(run_in_child([&] {
              if (!compile(5)) return false;  // code memory grows as files do
              const rlimit tiny{100, 100};    // a write beyond it would raise a signal
              setrlimit(RLIMIT_FSIZE, &tiny);
              return !get()->from_disk && !get()->from_disk;
            }),
            "exit 0");
  EXPECT_EQ(folder_.count(), 0U);
}

TEST_F(DiskCacheTest, WritersAtOnceLeaveAWholeFile) {
  get();
  const std::string file = only_file();
  std::vector<pid_t> writers;
  for (int i = 0; i < 4; ++i) {
    const pid_t writer = fork();
    if (writer == 0) {
      bool right = true;
      for (int k = 0; k < 60; ++k) {
        unlink(file.c_str());  // so that somebody writes it again
        right = right && run_bits(get()) == run_bits(*compile(5));
      }
      _exit(right ? 0 : 1);
    }
    writers.push_back(writer);
  }
  for (const pid_t writer : writers) EXPECT_EQ(status_text(wait_for(writer)), "exit 0");
  EXPECT_TRUE(get()->from_disk);
  EXPECT_EQ(folder_.count(), 1U);
}

TEST_F(DiskCacheTest, AKilledWriterLeavesAUsableCache) {
  for (int round = 0; round < 40; ++round) {
    const pid_t writer = fork();
    if (writer == 0) {
      for (;;) {
        for (const fs::path& file : files_in(folder_ / ".")) unlink(file.c_str());
        for (int64_t filters = 1; filters < 9; ++filters) get(filters);
      }
    }
    usleep(static_cast<useconds_t>(1000 + 700 * round));
    kill(writer, SIGKILL);
    ASSERT_EQ(status_text(wait_for(writer)), "signal 9");
    for (int64_t filters = 1; filters < 9; ++filters) {
      ASSERT_EQ(run_bits(get(filters)), run_bits(*compile(filters)));
      ASSERT_TRUE(get(filters)->from_disk);
    }
  }
}

// Every way in which a writer can have stopped: a temporary file with the first bytes, and no more.
TEST_F(DiskCacheTest, LeftoversAreIgnoredAndSweptWhenTheyAreOld) {
  get();
  const std::string good = TemporaryFolder::read(only_file());
  fs::remove(only_file());
  std::vector<std::string> leftovers;
  for (size_t size = 0; size < good.size(); size += good.size() / 7)
    leftovers.push_back(folder_.write(".tmp-" + std::to_string(size), good.substr(0, size)));
  expect_refused_and_replaced("leftovers");
  const timespec two_hours_ago[2] = {{time(nullptr) - 7200, 0}, {time(nullptr) - 7200, 0}};
  for (const std::string& old : {leftovers[0], leftovers[3]})
    ASSERT_EQ(utimensat(AT_FDCWD, old.c_str(), two_hours_ago, 0), 0);
  get(cache(good.size() * 10), 6);  // with this limit each write looks
  EXPECT_FALSE(fs::exists(leftovers[0]));
  EXPECT_FALSE(fs::exists(leftovers[3]));
  EXPECT_TRUE(fs::exists(leftovers[1]));
}

TEST_F(DiskCacheTest, TheOldestFilesGoWhereThereAreTooMany) {
  get();
  // Each of the files is more than a sixteenth of that, so that none is written without a look at the others.
  const uint64_t limit = 4 * fs::file_size(only_file());
  folder_.write("not ours", std::string(limit, 'x'));
  for (int64_t filters = 1; filters < 40; ++filters) {
    get(cache(limit), filters);
    uint64_t total = 0;
    for (const fs::path& file : files_in(folder_ / "."))
      total += file.extension() == ".kernel" ? fs::file_size(file) : 0;
    EXPECT_LE(total, limit);
    // Times of files are coarse; each must be younger than the ones before.
    usleep(5000);
  }
  EXPECT_TRUE(get(39)->from_disk);
  EXPECT_FALSE(get(2)->from_disk);
  EXPECT_TRUE(fs::exists(folder_ / "not ours"));
}

TEST_F(DiskCacheTest, WhatIsUsedBecomesYoung) {
  get();
  const timespec last_week[2] = {{time(nullptr) - 7 * 86400, 0}, {time(nullptr) - 7 * 86400, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, only_file().c_str(), last_week, 0), 0);
  EXPECT_TRUE(get()->from_disk);
  struct stat status {};
  ASSERT_EQ(stat(only_file().c_str(), &status), 0);
  EXPECT_GT(status.st_mtime, time(nullptr) - 3600);
}

}  // namespace
}  // namespace convsmith::test

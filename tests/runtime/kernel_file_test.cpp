// Kernels as files: what was written is read again, and nothing else is.
#include "runtime/kernel_file.hpp"

#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

class KernelFileTest : public testing::Test {
 protected:
  void SetUp() override {
    if (machine_code_places().empty()) GTEST_SKIP() << "no back end makes machine code here";
    const Place place = machine_code_places().front();
    id_ = {"a key", "a build", place.backend, place.isa};
    Problem problem;
    problem.channels = 3;
    problem.filters = 5;
    auto kernel = compile_problem(problem, place.backend, place.isa, "", process_code_memory().value());
    ASSERT_TRUE(kernel) << kernel.error().message;
    kernel_ = *kernel;
    file_ = write_kernel_file(id_, *kernel_);
  }

  bool is_read(std::span<const uint8_t> file) const { return read_kernel_file(file, id_).has_value(); }
  std::string refusal(const KernelFileId& id) const {
    const auto file = read_kernel_file(file_, id);
    return file ? "none" : std::string(file.error());
  }
  // With the right checksum, as only somebody makes it who may write the file.
  std::vector<uint8_t> forged(size_t offset, uint64_t value) const {
    std::vector<uint8_t> file = file_;
    std::memcpy(file.data() + offset, &value, sizeof value);
    const XXH128_hash_t hash = XXH3_128bits(file.data(), file.size() - 16);
    std::memcpy(file.data() + file.size() - 16, &hash.low64, 8);
    std::memcpy(file.data() + file.size() - 8, &hash.high64, 8);
    return file;
  }

  KernelFileId id_;
  std::shared_ptr<const CompiledKernel> kernel_;
  std::vector<uint8_t> file_;
};

TEST_F(KernelFileTest, HoldsWhatTheKernelIs) {
  const auto file = read_kernel_file(file_, id_);
  ASSERT_TRUE(file) << file.error();
  const std::span<const uint8_t> code = kernel_->kernel->code().bytes;
  EXPECT_TRUE(std::equal(code.begin(), code.end(), file->code.begin(), file->code.end()));
  EXPECT_EQ(file->entry, kernel_->kernel->code().entry);
  EXPECT_EQ(file->kernel.weights, kernel_->weights);
  EXPECT_EQ(file->kernel.blocks.dim, kernel_->blocks.dim);
  EXPECT_EQ(file->kernel.blocks.step, kernel_->blocks.step);
  EXPECT_EQ(file->kernel.blocks.count, kernel_->blocks.count);
  EXPECT_EQ(file->kernel.tile_steps, kernel_->tile_steps);
  EXPECT_EQ(file->kernel.scratch_bytes, kernel_->scratch_bytes);
  EXPECT_EQ(file->kernel.backend, kernel_->backend);
  EXPECT_EQ(file->kernel.isa, kernel_->isa);
}

TEST_F(KernelFileTest, EveryBitFlipIsRefused) {
  ASSERT_TRUE(is_read(file_));
  for (size_t bit = 0; bit < 8 * file_.size(); ++bit) {
    const auto flip = static_cast<uint8_t>(1U << (bit % 8));
    file_[bit / 8] ^= flip;
    EXPECT_FALSE(is_read(file_)) << "bit " << bit;
    file_[bit / 8] ^= flip;
  }
  EXPECT_TRUE(is_read(file_));
}

TEST_F(KernelFileTest, EveryTruncationIsRefused) {
  // Copies, so that a sanitizer sees what is read behind them.
  for (size_t size = 0; size < file_.size(); ++size)
    EXPECT_FALSE(is_read(std::vector<uint8_t>(file_.begin(), file_.begin() + static_cast<ptrdiff_t>(size))));
  std::vector<uint8_t> longer = file_;
  longer.push_back(0);
  EXPECT_FALSE(is_read(longer));
}

TEST_F(KernelFileTest, OtherKeysBuildsAndInstructionSetsAreRefused) {
  KernelFileId other = id_;
  other.key = "a kez";
  EXPECT_EQ(refusal(other), "holds another kernel");
  other = id_;
  other.build = "another build";
  EXPECT_EQ(refusal(other), "was written by another build");
  other = id_;
  other.isa = id_.isa == Isa::kAvx2 ? Isa::kAvx512 : Isa::kAvx2;
  EXPECT_EQ(refusal(other), "is for another instruction set");
  EXPECT_EQ(refusal(id_), "none");
}

TEST_F(KernelFileTest, NamesDifferByKeyAndBuild) {
  KernelFileId other = id_;
  other.key = "b key";
  EXPECT_NE(other.file_name(), id_.file_name());
  other = id_;
  other.build = "b build";
  EXPECT_NE(other.file_name(), id_.file_name());
  EXPECT_EQ(KernelFileId(id_).file_name(), id_.file_name());
  EXPECT_EQ(id_.file_name().size(), 32 + std::string(".kernel").size());
}

TEST_F(KernelFileTest, ANewerFormatIsRefusedByName) {
  ++file_[8];
  EXPECT_EQ(refusal(id_), "has a format of another version");
}

// Offsets of the header's lengths: a file that says anything there is not read beyond its end.
TEST_F(KernelFileTest, LengthsThatLieAreRefused) {
  constexpr size_t kKeyBytes = 32;
  constexpr size_t kCodeBytes = 40;
  constexpr size_t kEntry = 48;
  const size_t code_bytes = kernel_->kernel->code_bytes();
  uint64_t there = 0;
  std::memcpy(&there, file_.data() + kCodeBytes, sizeof there);
  ASSERT_EQ(there, code_bytes) << "the offsets above are those of another header";
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  for (const uint64_t wrong : {kMost, kMost - code_bytes, kMost / 2, uint64_t{0}, uint64_t{1}}) {
    EXPECT_FALSE(is_read(forged(kKeyBytes, wrong))) << wrong;
    EXPECT_FALSE(is_read(forged(kCodeBytes, wrong))) << wrong;
  }
  EXPECT_FALSE(is_read(forged(kEntry, code_bytes)));
  EXPECT_FALSE(is_read(forged(kEntry, kMost)));
  EXPECT_TRUE(is_read(forged(kCodeBytes, code_bytes)));
}

TEST_F(KernelFileTest, RandomBytesAreRefused) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::vector<uint8_t> file(random() % 400);
    for (uint8_t& byte : file) byte = static_cast<uint8_t>(random());
    // The checks behind the first ones as well.
    std::copy_n(file_.begin(), std::min<size_t>(file.size(), static_cast<size_t>(i) % 60), file.begin());
    EXPECT_FALSE(is_read(file));
  }
}

}  // namespace
}  // namespace convsmith::test

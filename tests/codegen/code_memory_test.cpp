#include "codegen/code_memory.hpp"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

namespace convsmith {
namespace {

// mov eax, n; ret
void write_return(const CodeBlock& block, int n) {
  const std::array<unsigned char, 6> code = {
      0xb8,
      static_cast<unsigned char>(n),
      static_cast<unsigned char>(n >> 8),
      static_cast<unsigned char>(n >> 16),
      static_cast<unsigned char>(n >> 24),
      0xc3,
  };
  std::memcpy(block.write_view(), code.data(), code.size());
}

int call(const CodeBlock& block) {
  return reinterpret_cast<int (*)()>(block.execute_view())();
}

CodeBlock make_block(CodeMemory& memory, int n, size_t bytes = 6) {
  auto block = memory.allocate(bytes);
  EXPECT_TRUE(block) << block.error().message;
  write_return(*block, n);
  return std::move(*block);
}

CodeMemory make_memory() {
  auto memory = CodeMemory::create();
  EXPECT_TRUE(memory) << memory.error().message;
  return std::move(*memory);
}

// Lines of /proc/self/maps with these permissions.
int mappings(const std::string& permissions) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("convsmith-code") != std::string::npos && line.find(permissions) != std::string::npos)
      ++count;
  }
  return count;
}

int writable_code_mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rwx") != std::string::npos) ++count;
  }
  return count;
}

// Runs `body` in a forked child; its answer, or -1 if the child died.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(CodeMemory, RunsWhatWasWritten) {
  CodeMemory memory = make_memory();
  const CodeBlock one = make_block(memory, 1);
  const CodeBlock two = make_block(memory, 2, 100000);
  const CodeBlock three = make_block(memory, 3, size_t{3} << 20);  // more than a segment
  EXPECT_EQ(call(one), 1);
  EXPECT_EQ(call(two), 2);
  EXPECT_EQ(call(three), 3);
  EXPECT_EQ(two.size(), 100000U);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(one.execute_view()) % 64, 0U);
  EXPECT_EQ(std::memcmp(two.write_view(), two.execute_view(), two.size()), 0);
}

TEST(CodeMemory, NoPageIsWritableAndExecutable) {
  CodeMemory memory = make_memory();
  for (int i = 0; i < 100; ++i) {
    const CodeBlock block = make_block(memory, i, static_cast<size_t>(i) * 1000);
    EXPECT_EQ(call(block), i);
    EXPECT_EQ(writable_code_mappings(), 0);
  }
}

TEST(CodeMemory, ReusesFreedMemory) {
  CodeMemory memory = make_memory();
  const CodeBlock kept = make_block(memory, 7);
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(call(make_block(memory, i, 5000)), i);
  EXPECT_EQ(call(kept), 7);
  EXPECT_EQ(mappings("r-xs"), 1);
  EXPECT_EQ(mappings("rw-s"), 1);
}

TEST(CodeMemory, JoinsFreeNeighbours) {
  CodeMemory memory = make_memory();
  std::mt19937 random(3);
  std::vector<std::pair<int, CodeBlock>> blocks;
  for (int i = 0; i < 5000; ++i) {
    if (blocks.size() > 20 || (!blocks.empty() && random() % 2 == 0)) {
      const size_t at = random() % blocks.size();
      ASSERT_EQ(call(blocks[at].second), blocks[at].first);
      blocks[at] = std::move(blocks.back());
      blocks.pop_back();
    } else {
      blocks.emplace_back(i, make_block(memory, i, 1 + random() % 60000));
    }
  }
  for (const auto& [n, block] : blocks) EXPECT_EQ(call(block), n);
  blocks.clear();
  EXPECT_EQ(mappings("r-xs"), 1) << "empty segments but one go back to the system";
}

TEST(CodeMemory, BlocksOutliveTheirMemory) {
  CodeBlock block;
  {
    CodeMemory memory = make_memory();
    block = make_block(memory, 5);
  }
  EXPECT_EQ(call(block), 5);
  block = CodeBlock();
  EXPECT_EQ(mappings("convsmith-code"), 0);
}

TEST(CodeMemory, ThreadsShareIt) {
  CodeMemory memory = make_memory();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&memory, t] {
      for (int i = 0; i < 2000; ++i) {
        const CodeBlock a = make_block(memory, 1000 * t + i);
        const CodeBlock b = make_block(memory, -i, 9000);
        ASSERT_EQ(call(a), 1000 * t + i);
        ASSERT_EQ(call(b), -i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CodeMemory, ChildAndParentDoNotOverwriteEachOther) {
  CodeMemory memory = make_memory();
  CodeBlock old = make_block(memory, 1);
  std::array<int, 2> to_child{};
  std::array<int, 2> to_parent{};
  ASSERT_EQ(pipe(to_child.data()), 0);
  ASSERT_EQ(pipe(to_parent.data()), 0);
  char token = 0;
  const pid_t child = fork();
  if (child == 0) {
    std::vector<CodeBlock> blocks;
    for (int i = 0; i < 50; ++i) blocks.push_back(make_block(memory, 100 + i));
    bool ok = write(to_parent[1], "x", 1) == 1 && read(to_child[0], &token, 1) == 1;
    ok = ok && call(old) == 1;  // the parent has freed it and made other code
    for (int i = 0; i < 50; ++i) ok = ok && call(blocks[static_cast<size_t>(i)]) == 100 + i;
    old = CodeBlock();
    _exit(ok && call(make_block(memory, 9)) == 9 ? 0 : 1);
  }
  ASSERT_EQ(read(to_parent[0], &token, 1), 1);
  old = CodeBlock();
  std::vector<CodeBlock> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back(make_block(memory, 200 + i));
  ASSERT_EQ(write(to_child[1], "x", 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(call(blocks[static_cast<size_t>(i)]), 200 + i);
  for (const int fd : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) close(fd);
}

TEST(CodeMemory, ForkWhileOtherThreadsAllocate) {
  CodeMemory memory = make_memory();
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    for (int i = 0; !stop; ++i) ASSERT_EQ(call(make_block(memory, i)), i);
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(in_child([&] { return call(make_block(memory, 3)); }), 3);
  }
  stop = true;
  busy.join();
}

// From here on the process may not make memory executable that was not so when mapped. Where the
// kernel lacks PR_SET_MDWE a filter denies mprotect with PROT_EXEC.
bool deny_exec_gain() {
  if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0L, 0L, 0L) == 0) return true;
  std::array<sock_filter, 6> code = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0 &&
         prctl(PR_SET_SECCOMP, static_cast<long>(SECCOMP_MODE_FILTER), &program) == 0;
}

TEST(CodeMemory, WorksWhereExecGainIsDenied) {
  CodeMemory older = make_memory();
  EXPECT_EQ(in_child([&] {
              if (!deny_exec_gain()) return 1;
              void* const page =
                  mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0) return 2;  // nothing is denied
              auto memory = CodeMemory::create();
              if (!memory) return 3;
              for (int i = 0; i < 100; ++i) {  // reuse, too
                if (call(make_block(*memory, i, 9000)) != i || call(make_block(older, i)) != i) return 4;
              }
              return 0;
            }),
            0);
}

// Denies one system call, with EPERM.
bool deny_call(unsigned number) {
  std::array<sock_filter, 4> code = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0 &&
         prctl(PR_SET_SECCOMP, static_cast<long>(SECCOMP_MODE_FILTER), &program) == 0;
}

TEST(CodeMemory, SaysWhatTheHostRefuses) {
  EXPECT_EQ(
      in_child([] {
        if (!deny_exec_gain() || !deny_call(SYS_memfd_create)) return 1;
        const auto memory = CodeMemory::create();
        if (memory || memory.error().code != ErrorCode::kUnavailable) return 2;
        for (const char* part : {"memfd_create failed", ", and making private memory executable failed"})
          if (memory.error().message.find(part) == std::string::npos) return 3;
        return 0;
      }),
      0);
}

// The second way: private pages, which may not be written once they may run.
TEST(CodeMemory, IsPrivateWhereThereIsNoMemfd) {
  EXPECT_EQ(
      in_child([] {
        if (!deny_call(SYS_memfd_create)) return 1;
        auto memory = CodeMemory::create();
        if (!memory || !memory->is_private()) return 2;
        if (memory->why_private().find("mapped twice is refused: memfd_create failed") == std::string::npos)
          return 3;
        if (memory->why_private().find("no memory") != std::string::npos) return 6;  // there is some
        for (int i = 0; i < 100; ++i) {
          CodeBlock block = make_block(*memory, i, 9000);
          if (!block.seal() || call(block) != i) return 4;
          CodeBlock moved = std::move(block);
          if (call(moved) != i) return 5;
        }
        return 0;
      }),
      0);
}

}  // namespace
}  // namespace convsmith

// Filters of system calls, for hosts that forbid things and for code that must call nothing. A filter
// holds for the calling thread and its children until they end: use it in a child.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace convsmith::test {

using Filter = std::vector<sock_filter>;

namespace bpf {

constexpr unsigned kNumber = offsetof(seccomp_data, nr);
// The third argument of mmap and mprotect is the protection; its low half, on a little-endian machine.
constexpr unsigned kProtection = offsetof(seccomp_data, args) + 2 * sizeof(__u64);
constexpr unsigned kDeny = SECCOMP_RET_ERRNO | EPERM;

inline sock_filter load(unsigned offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
inline sock_filter answer(unsigned what) {
  return BPF_STMT(BPF_RET | BPF_K, what);
}
inline sock_filter if_equal(unsigned value, unsigned char yes, unsigned char no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}
inline sock_filter mask(unsigned bits) {
  return BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits);
}

}  // namespace bpf

inline void deny(Filter& filter, long number) {
  filter.push_back(bpf::if_equal(static_cast<unsigned>(number), 0, 1));
  filter.push_back(bpf::answer(bpf::kDeny));
}

// Denies system call `number` where its protection has all of `bits`.
inline void deny_protection(Filter& filter, long number, unsigned bits) {
  filter.push_back(bpf::if_equal(static_cast<unsigned>(number), 0, 5));
  filter.push_back(bpf::load(bpf::kProtection));
  filter.push_back(bpf::mask(bits));
  filter.push_back(bpf::if_equal(bits, 0, 1));
  filter.push_back(bpf::answer(bpf::kDeny));
  filter.push_back(bpf::load(bpf::kNumber));
}

inline Filter begin_filter() {
  return {bpf::load(bpf::kNumber)};
}

// What PR_SET_MDWE refuses: memory that is writable and executable, and making memory executable.
inline Filter exec_gain_filter() {
  Filter filter = begin_filter();
  deny_protection(filter, SYS_mmap, PROT_WRITE | PROT_EXEC);
  deny_protection(filter, SYS_mprotect, PROT_EXEC);
  filter.push_back(bpf::answer(SECCOMP_RET_ALLOW));
  return filter;
}

// A host that gives no memory with a name, as some containers do; private memory may become executable.
inline Filter no_memfd_filter() {
  Filter filter = begin_filter();
  deny(filter, SYS_memfd_create);
  filter.push_back(bpf::answer(SECCOMP_RET_ALLOW));
  return filter;
}

// A host on which no machine code can be made.
inline Filter no_code_filter() {
  Filter filter = begin_filter();
  deny(filter, SYS_memfd_create);
  deny_protection(filter, SYS_mprotect, PROT_EXEC);
  filter.push_back(bpf::answer(SECCOMP_RET_ALLOW));
  return filter;
}

// Kills the process at any system call but exit_group and write.
inline Filter no_system_calls_filter() {
  Filter filter = begin_filter();
  for (const long number : {SYS_exit_group, SYS_write}) {
    filter.push_back(bpf::if_equal(static_cast<unsigned>(number), 0, 1));
    filter.push_back(bpf::answer(SECCOMP_RET_ALLOW));
  }
  filter.push_back(bpf::answer(SECCOMP_RET_KILL_PROCESS));
  return filter;
}

inline bool install(Filter filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// The kernel's own rule (Linux 6.3), or the filter where it has none.
inline bool refuse_exec_gain() {
  constexpr int kSetMdwe = 65;          // PR_SET_MDWE
  constexpr unsigned long kRefuse = 1;  // PR_MDWE_REFUSE_EXEC_GAIN
  return prctl(kSetMdwe, kRefuse, 0UL, 0UL, 0UL) == 0 || install(exec_gain_filter());
}

}  // namespace convsmith::test

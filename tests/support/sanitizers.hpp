// Whether a sanitizer watches this build: it brings an allocator, locks and memory of its own, which
// tests that count such things would count too.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONVSMITH_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CONVSMITH_TEST_SANITIZED 1
#endif
#endif
#if !defined(CONVSMITH_TEST_SANITIZED)
#define CONVSMITH_TEST_SANITIZED 0
#endif

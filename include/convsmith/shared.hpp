// A std::shared_ptr of the library's, held without <memory>: that header alone would take a fourth of the
// time that including convsmith takes.
#pragma once

#include "convsmith/export.h"

namespace convsmith {

// Only the library makes one that is not empty and looks inside (runtime/shared.hpp).
template <class T>
class CONVSMITH_API Shared {
 public:
  Shared() noexcept;
  Shared(const Shared& other) noexcept;
  Shared(Shared&& other) noexcept;
  Shared& operator=(const Shared& other) noexcept;
  Shared& operator=(Shared&& other) noexcept;
  ~Shared();
  template <class Pointer>
  explicit Shared(Pointer pointer) noexcept;

  T* get() const noexcept;
  T* operator->() const noexcept { return get(); }
  T& operator*() const noexcept { return *get(); }

 private:
  void* words_[2];
};

}  // namespace convsmith

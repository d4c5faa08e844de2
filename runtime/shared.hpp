// What Shared is made of; whoever includes this instantiates it for a type of theirs.
#pragma once

#include "convsmith/shared.hpp"

#include <memory>
#include <new>
#include <utility>

namespace convsmith {

template <class T>
std::shared_ptr<T>& as_shared_ptr(void* words) {
  static_assert(sizeof(std::shared_ptr<T>) == 2 * sizeof(void*) &&
                alignof(std::shared_ptr<T>) == alignof(void*));
  return *std::launder(static_cast<std::shared_ptr<T>*>(words));
}

template <class T>
Shared<T>::Shared() noexcept {
  new (words_) std::shared_ptr<T>();
}
template <class T>
template <class Pointer>
Shared<T>::Shared(Pointer pointer) noexcept {
  new (words_) std::shared_ptr<T>(std::move(pointer));
}
template <class T>
Shared<T>::Shared(const Shared& other) noexcept {
  new (words_) std::shared_ptr<T>(as_shared_ptr<T>(const_cast<void**>(other.words_)));
}
template <class T>
Shared<T>::Shared(Shared&& other) noexcept {
  new (words_) std::shared_ptr<T>(std::move(as_shared_ptr<T>(other.words_)));
}
template <class T>
Shared<T>& Shared<T>::operator=(const Shared& other) noexcept {
  as_shared_ptr<T>(words_) = as_shared_ptr<T>(const_cast<void**>(other.words_));
  return *this;
}
template <class T>
Shared<T>& Shared<T>::operator=(Shared&& other) noexcept {
  as_shared_ptr<T>(words_) = std::move(as_shared_ptr<T>(other.words_));
  return *this;
}
template <class T>
Shared<T>::~Shared() {
  std::destroy_at(&as_shared_ptr<T>(words_));
}
template <class T>
T* Shared<T>::get() const noexcept {
  return as_shared_ptr<T>(const_cast<void**>(words_)).get();
}

}  // namespace convsmith

// One zero-initialized block of memory that holds all arrays of a model or of a run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/check.hpp"

namespace fastmlp {

/// Used in this order: `reserve` for each array, `allocate` once, `at` for the addresses.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Offset in bytes of a 64-byte aligned array of `count` elements of T.
  template <typename T>
  std::size_t reserve(std::int64_t count) {
    return reserve_bytes(checked_product(count, static_cast<std::int64_t>(sizeof(T))));
  }
  /// Allocates all reserved arrays; throws std::bad_alloc.
  void allocate();
  template <typename T>
  T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(block_ + offset);
  }
  std::size_t bytes() const { return size_; }

 private:
  std::size_t reserve_bytes(std::int64_t bytes);

  unsigned char* block_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace fastmlp

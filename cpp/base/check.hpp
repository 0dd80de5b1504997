// Size arithmetic that detects overflow, and checks of arguments. Nothing is thrown inside a parallel region.
#pragma once

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace fastmlp {

/// Throws std::invalid_argument, which the bindings turn into ValueError, unless the condition holds.
inline void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

/// a * b for non-negative sizes; throws std::bad_alloc when the product overflows, because no memory could hold it.
inline std::int64_t checked_product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) throw std::bad_alloc();
  return result;
}

/// a + b, likewise.
inline std::int64_t checked_sum(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) throw std::bad_alloc();
  return result;
}

}  // namespace fastmlp

// Size arithmetic that cannot overflow, and the exceptions of the core (none is thrown inside a parallel region).
#pragma once

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace fastmlp {

/// Requirement on an argument; the bindings turn it into Python's ValueError.
inline void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

/// a * b for non-negative sizes; std::bad_alloc when the product does not fit, as no memory could hold it.
inline std::int64_t checked_product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) throw std::bad_alloc();
  return result;
}

inline std::int64_t checked_sum(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) throw std::bad_alloc();
  return result;
}

}  // namespace fastmlp

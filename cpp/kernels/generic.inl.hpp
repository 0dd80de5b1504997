// Arithmetic for vectors of 16 bytes of the compiler. Included by isa_generic.cpp only.
#pragma once

#include <cstdint>

namespace fastmlp::generic {
typedef float FloatLanes __attribute__((vector_size(16)));
typedef double DoubleLanes __attribute__((vector_size(16)));
typedef std::uint64_t WordLanes __attribute__((vector_size(16)));
}  // namespace fastmlp::generic

#if defined(__x86_64__) && !defined(__FMA__)
#include "kernels/fma_sse2.inl.hpp"
#endif

namespace fastmlp::generic {

#ifndef FASTMLP_WIDE_SUMS
static inline FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
  FloatLanes result;
  for (int lane = 0; lane < 4; ++lane) result[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return result;
}
static inline DoubleLanes fma(DoubleLanes a, DoubleLanes b, DoubleLanes c) {
  DoubleLanes result;
  for (int lane = 0; lane < 2; ++lane) result[lane] = __builtin_fma(a[lane], b[lane], c[lane]);
  return result;
}

#endif

static inline FloatLanes sqrt(FloatLanes a) {
  for (int lane = 0; lane < 4; ++lane) a[lane] = __builtin_sqrtf(a[lane]);
  return a;
}
static inline DoubleLanes sqrt(DoubleLanes a) {
  for (int lane = 0; lane < 2; ++lane) a[lane] = __builtin_sqrt(a[lane]);
  return a;
}

static inline WordLanes multiply_words(WordLanes a, WordLanes b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }

static inline FloatLanes convert(const std::uint8_t* p, FloatLanes) {
  return FloatLanes{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
                    static_cast<float>(p[3])};
}
static inline DoubleLanes convert(const std::uint8_t* p, DoubleLanes) {
  return DoubleLanes{static_cast<double>(p[0]), static_cast<double>(p[1])};
}

}  // namespace fastmlp::generic

// Correctly rounded fused multiply-add for 16-byte vectors without relying on the hardware.
//
// float: the product of two floats is exact in double; adding the third operand with rounding to odd, then
// rounding to float, equals one rounding (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd", IEEE Transactions on Computers, 2008). The rounding error of the sum
// comes from D. Knuth's TwoSum.
#pragma once

#include <cstdint>

namespace fastmlp::generic {

typedef float FloatLanes __attribute__((vector_size(16)));
typedef double DoubleLanes __attribute__((vector_size(16)));

static inline DoubleLanes fma(DoubleLanes a, DoubleLanes b, DoubleLanes c) {
  DoubleLanes result;
  for (int lane = 0; lane < 2; ++lane) result[lane] = __builtin_fma(a[lane], b[lane], c[lane]);
  return result;
}

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)

static inline FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
  FloatLanes result;
  for (int lane = 0; lane < 4; ++lane) result[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return result;
}

#else

typedef double DoubleLanes4 __attribute__((vector_size(32)));
typedef std::int64_t BitLanes4 __attribute__((vector_size(32)));

static inline FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
  const DoubleLanes4 product = __builtin_convertvector(a, DoubleLanes4) * __builtin_convertvector(b, DoubleLanes4);
  const DoubleLanes4 addend = __builtin_convertvector(c, DoubleLanes4);
  const DoubleLanes4 sum = product + addend;
  const DoubleLanes4 addend_seen = sum - product;
  const DoubleLanes4 error = (product - (sum - addend_seen)) + (addend - addend_seen);
  // An inexact sum with an even last bit moves one unit toward the exact value, which makes it odd. NaN and
  // infinity have a NaN error, so both comparisons are false and they pass through.
  const BitLanes4 bits = (BitLanes4)sum;
  const BitLanes4 inexact = (BitLanes4)((error > 0.0) | (error < 0.0));
  const BitLanes4 even = (bits & 1) - 1;
  const BitLanes4 away = (BitLanes4)((error > 0.0) == (sum > 0.0));
  const BitLanes4 step = (away & 2) - 1;
  return __builtin_convertvector((DoubleLanes4)(bits + (step & inexact & even)), FloatLanes);
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

typedef std::uint64_t WordLanes __attribute__((vector_size(16)));
static inline WordLanes multiply_words(WordLanes a, WordLanes b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }

static inline FloatLanes convert(const std::uint8_t* p, FloatLanes) {
  return FloatLanes{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
                    static_cast<float>(p[3])};
}
static inline DoubleLanes convert(const std::uint8_t* p, DoubleLanes) {
  return DoubleLanes{static_cast<double>(p[0]), static_cast<double>(p[1])};
}

}  // namespace fastmlp::generic

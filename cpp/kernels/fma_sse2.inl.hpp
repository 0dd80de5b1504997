// Correctly rounded fused multiply-add for x86-64 without FMA. Included by generic.inl.hpp only.
//
// float: the product of two floats is exact in double, so that the sum with the third operand is rounded once, to
// double, and again to float. Both roundings together differ from one only if the sum lies midway between two floats,
// because every midpoint is a double, which rounding to double does not cross, or if the result is subnormal, where
// midpoints lie elsewhere. Such a sum is computed again with rounding to odd, after which the
// second rounding is always right (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved
// algorithms using rounding to odd", IEEE Transactions on Computers, 2008).
//
// double: the algorithm of the same article, on products split after T. J. Dekker, "A floating-point technique for
// extending the available precision", 1971; with integers where its terms would overflow or become subnormal.
#pragma once

#include <emmintrin.h>

#include <cstdint>

/// Products of matrices keep their sums in double (gemm.inl.hpp).
#define FASTMLP_WIDE_SUMS

namespace fastmlp::generic {

typedef std::int32_t WordLanes4 __attribute__((vector_size(16)));
typedef std::int64_t BitLanes __attribute__((vector_size(16)));

/// The floats of a vector as doubles.
struct WideLanes {
  DoubleLanes low;
  DoubleLanes high;
};

static inline WideLanes widened(FloatLanes x) {
  const __m128 lanes = (__m128)x;
  return {(DoubleLanes)_mm_cvtps_pd(lanes), (DoubleLanes)_mm_cvtps_pd(_mm_movehl_ps(lanes, lanes))};
}
static inline FloatLanes narrowed(WideLanes x) {
  return (FloatLanes)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)x.low), _mm_cvtpd_ps((__m128d)x.high));
}
static inline DoubleLanes rounded_to_floats(DoubleLanes x) {
  return (DoubleLanes)_mm_cvtps_pd(_mm_cvtpd_ps((__m128d)x));
}

static inline bool any(BitLanes mask) { return (mask[0] | mask[1]) != 0; }

/// A sum and its rounding error (D. Knuth's TwoSum).
struct ExactSum {
  DoubleLanes sum;
  DoubleLanes error;
};

static inline ExactSum exact_sum(DoubleLanes a, DoubleLanes b) {
  const DoubleLanes sum = a + b;
  const DoubleLanes b_seen = sum - a;
  return {sum, (a - (sum - b_seen)) + (b - b_seen)};
}

/// a + b rounded to odd: an inexact sum with an even last bit moves one unit toward the exact value, which makes it
/// odd. NaN and infinity have a NaN error, so both comparisons are false and they pass through.
static inline DoubleLanes odd_sum(DoubleLanes a, DoubleLanes b) {
  const ExactSum exact = exact_sum(a, b);
  const BitLanes bits = (BitLanes)exact.sum;
  const BitLanes inexact = (BitLanes)((exact.error > 0.0) | (exact.error < 0.0));
  const BitLanes even = (bits & 1) - 1;
  const WordLanes signs = (WordLanes)(bits ^ (BitLanes)exact.error);
  const BitLanes step = 1 - (BitLanes)(signs >> 62 & 2);  // away from zero where both have one sign
  return (DoubleLanes)(bits + (step & inexact & even));
}

__attribute__((noinline, cold)) static FloatLanes fma_by_odd_sums(FloatLanes a, FloatLanes b, FloatLanes c) {
  const WideLanes x = widened(a);
  const WideLanes y = widened(b);
  const WideLanes z = widened(c);
  return narrowed(WideLanes{odd_sum(x.low * y.low, z.low), odd_sum(x.high * y.high, z.high)});
}

/// In the lower word of each sum that lies midway between two floats, all bits are set.
static inline WordLanes4 midway(DoubleLanes sum) {
  constexpr WordLanes4 kBelowFloat = {0x1fffffff, 0, 0x1fffffff, 0};
  constexpr WordLanes4 kMidway = {0x10000000, 1, 0x10000000, 1};  // 1: never equal
  return ((WordLanes4)sum & kBelowFloat) == kMidway;
}

/// Whether rounding these sums to float may differ from rounding their exact values.
static inline bool may_round_twice(WideLanes sums) {
  const __m128 low = (__m128)sums.low;
  const __m128 high = (__m128)sums.high;
  const WordLanes4 lower = (WordLanes4)_mm_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0));
  const WordLanes4 magnitude = (WordLanes4)_mm_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)) & 0x7fffffff;
  constexpr std::int32_t kSmallestNormal = 0x38100000;  // the upper word of 2^-126
  const WordLanes4 mask = ((lower & 0x1fffffff) == 0x10000000) | ((magnitude < kSmallestNormal) & (magnitude > 0));
  return _mm_movemask_epi8((__m128i)mask) != 0;
}

/// Whether results that are subnormal become zero, so that there are none.
static inline bool flushes_subnormals() { return (_mm_getcsr() & 1u << 15) != 0; }

static inline FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
  const WideLanes x = widened(a);
  const WideLanes y = widened(b);
  const WideLanes z = widened(c);
  const WideLanes sums = {x.low * y.low + z.low, x.high * y.high + z.high};
  return __builtin_expect(may_round_twice(sums), 0) ? fma_by_odd_sums(a, b, c) : narrowed(sums);
}

// ---------------------------------------------------------------- double

/// A finite number other than 0 as an integer of 53 bits times a power of two.
struct Parts {
  std::uint64_t integer;
  int exponent;
};

static inline Parts parts_of(std::uint64_t bits) {
  const std::uint64_t fraction = bits & ((1ull << 52) - 1);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  if (exponent > 0) return {fraction | 1ull << 52, exponent - 1075};
  const int shift = __builtin_clzll(fraction) - 11;
  return {fraction << shift, -1074 - shift};
}

typedef unsigned __int128 Wide;

/// x / 2^shift, where a lost bit sets the last one.
static inline Wide shifted_to_odd(Wide x, int shift) {
  if (shift <= 0) return x;
  if (shift > 127) return x != 0;
  return x >> shift | ((x & (((Wide)1 << shift) - 1)) != 0);
}

/// x * 2^exponent, rounded to nearest, ties to even; subnormal results are zero if those of the CPU are.
static inline double rounded_to_double(bool negative, Wide x, int exponent) {
  const std::uint64_t upper = static_cast<std::uint64_t>(x >> 64);
  const int bits = upper != 0 ? 128 - __builtin_clzll(upper) : 64 - __builtin_clzll(static_cast<std::uint64_t>(x));
  const auto round = [&](int dropped) {
    const Wide kept = shifted_to_odd(x, dropped - 2);  // with two more bits: half a unit, and all below
    const auto low = static_cast<std::uint64_t>(dropped >= 2 ? kept : x << (2 - dropped));
    return (low >> 2) + ((low & 3) + (low >> 2 & 1) > 2);
  };
  int dropped = bits - 53;
  std::uint64_t integer = round(dropped);
  constexpr int kLowest = -1074;
  if (exponent + dropped < kLowest && !(exponent + dropped == kLowest - 1 && integer == 1ull << 53)) {
    volatile double smallest_normal = 0x1p-1022;
    const bool flushes = smallest_normal * 0.5 == 0;
    dropped = kLowest - exponent;
    integer = flushes ? 0 : round(dropped);
  }
  // The exponent in the upper bits; a carry of the rounding goes there too.
  std::uint64_t result = integer;
  if (integer >= 1ull << 52) {
    const int biased = exponent + dropped + 1075;
    result = biased >= 0x7ff ? 0x7ffull << 52 : (static_cast<std::uint64_t>(biased - 1) << 52) + integer;
  }
  result |= static_cast<std::uint64_t>(negative) << 63;
  double number;
  __builtin_memcpy(&number, &result, sizeof number);
  return number;
}

/// For all numbers. Comparisons with 0 take subnormal numbers as the arithmetic of the CPU does.
static inline double fma_by_integers(double a, double b, double c) {
  const auto is_finite = [](double x) { return x - x == 0; };
  if (!is_finite(a) || !is_finite(b) || a == 0 || b == 0) return a * b + c;
  if (!is_finite(c)) return c;
  if (c == 0) return a * b;
  std::uint64_t bits[3];
  const double numbers[] = {a, b, c};
  __builtin_memcpy(bits, numbers, sizeof bits);
  const bool negative_product = ((bits[0] ^ bits[1]) >> 63) != 0;
  const bool negative_addend = bits[2] >> 63 != 0;
  const Parts x = parts_of(bits[0]);
  const Parts y = parts_of(bits[1]);
  const Parts z = parts_of(bits[2]);
  // Both terms have about 120 bits, so that what an alignment loses is far below the last bit of the result.
  constexpr int kProductShift = 14;
  constexpr int kAddendShift = 67;
  Wide product = (Wide)x.integer * y.integer << kProductShift;
  Wide addend = (Wide)z.integer << kAddendShift;
  const int product_exponent = x.exponent + y.exponent - kProductShift;
  const int addend_exponent = z.exponent - kAddendShift;
  const int exponent = product_exponent > addend_exponent ? product_exponent : addend_exponent;
  product = shifted_to_odd(product, exponent - product_exponent);
  addend = shifted_to_odd(addend, exponent - addend_exponent);
  if (negative_product == negative_addend) return rounded_to_double(negative_product, product + addend, exponent);
  if (product == addend) return 0;
  return product > addend ? rounded_to_double(negative_product, product - addend, exponent)
                          : rounded_to_double(negative_addend, addend - product, exponent);
}

__attribute__((noinline, cold)) static DoubleLanes fma_by_integers(DoubleLanes a, DoubleLanes b, DoubleLanes c) {
  return DoubleLanes{fma_by_integers(a[0], b[0], c[0]), fma_by_integers(a[1], b[1], c[1])};
}

/// The upper and the lower half of the bits of each number.
struct Split {
  DoubleLanes upper;
  DoubleLanes lower;
};

static inline Split split(DoubleLanes x) {
  const DoubleLanes scaled = x * 134217729.0;  // 2^27 + 1
  const DoubleLanes upper = scaled - (scaled - x);
  return {upper, x - upper};
}

/// All bits are set where x is neither 0 nor, in magnitude, from 2^-400 to 2^400.
static inline BitLanes beyond_range(DoubleLanes x) {
  const DoubleLanes size = (DoubleLanes)((BitLanes)x & 0x7fffffffffffffff);
  const BitLanes inside = (BitLanes)(size >= 0x1p-400) & (BitLanes)(size <= 0x1p400);
  return ~(inside | (BitLanes)(x == 0.0));
}

static inline DoubleLanes fma(DoubleLanes a, DoubleLanes b, DoubleLanes c) {
  if (__builtin_expect(any(beyond_range(a) | beyond_range(b) | beyond_range(c)), 0)) return fma_by_integers(a, b, c);
  const Split x = split(a);
  const Split y = split(b);
  const DoubleLanes product = a * b;
  const DoubleLanes error =
      x.lower * y.lower - (((product - x.upper * y.upper) - x.lower * y.upper) - x.upper * y.lower);
  const ExactSum lower = exact_sum(c, error);
  const ExactSum upper = exact_sum(product, lower.sum);
  const DoubleLanes result = upper.sum + odd_sum(lower.error, upper.error);
  return result == 0.0 ? product + c : result;  // the sign of a zero
}

}  // namespace fastmlp::generic

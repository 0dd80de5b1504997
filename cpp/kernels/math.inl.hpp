// exp, log, tanh and the logistic function on vectors: additions, multiplications, fma and divisions only, so
// that every instruction set gives the same bits. Included by table.inl.hpp only.
//
// exp and expm1: Cody-Waite reduction x = n ln 2 + r, |r| <= ln 2 / 2, Taylor series of e^r whose remainder is
// below 2^-27 (float, degree 7) and 2^-57 (double, degree 13).
// log: x = 2^k (1 + f), s = f / (2 + f), log(1 + f) = 2 atanh(s) by its series, arranged as in W. Cody and
// W. Waite, "Software Manual for the Elementary Functions", 1980, and in fdlibm (Sun Microsystems, 1993).

namespace fastmlp::FASTMLP_ISA {

template <typename T>
struct MathConstants;
template <>
struct MathConstants<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr std::int32_t kExponentBias = 127;
  static constexpr float kRoundingShift = 0x1.8p23f;  // adding it rounds to an integer in the low bits
  static constexpr float kLn2High = 0x1.62e4p-1f;     // few bits: n * kLn2High is exact
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kExpLowest = -104.0f;  // e^x rounds to 0 below, to infinity above kExpHighest
  static constexpr float kExpHighest = 89.0f;
  static constexpr float kTanhSaturation = 20.0f;  // of 2x, where tanh rounds to 1
  static constexpr int kExpDegree = 7;
  static constexpr int kLogTerms = 5;
  static constexpr float kSmallestNormal = 0x1p-126f;
};
template <>
struct MathConstants<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr std::int64_t kExponentBias = 1023;
  static constexpr double kRoundingShift = 0x1.8p52;
  static constexpr double kLn2High = 0x1.62e42fee00000p-1;
  static constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpLowest = -746.0;
  static constexpr double kExpHighest = 710.0;
  static constexpr double kTanhSaturation = 42.0;
  static constexpr int kExpDegree = 13;
  static constexpr int kLogTerms = 11;
  static constexpr double kSmallestNormal = 0x1p-1022;
};

static constexpr double factorial(int n) { return n <= 1 ? 1.0 : n * factorial(n - 1); }

/// x = n ln 2 + r.
template <typename T>
struct Reduced {
  Bits<T> n;
  Vec<T> r;
};

template <typename T>
static inline Reduced<T> reduce_by_ln2(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> shifted = fma(x, splat<T>(static_cast<T>(1.4426950408889634074)), splat<T>(C::kRoundingShift));
  const Vec<T> n = shifted - splat<T>(C::kRoundingShift);
  Vec<T> r = fma(n, splat<T>(-C::kLn2High), x);
  r = fma(n, splat<T>(-C::kLn2Low), r);
  return {(Bits<T>)shifted - (Bits<T>)splat<T>(C::kRoundingShift), r};
}

/// e^r - 1 for |r| <= ln 2 / 2.
template <typename T>
static inline Vec<T> expm1_reduced(Vec<T> r) {
  constexpr int kDegree = MathConstants<T>::kExpDegree;
  Vec<T> p = splat<T>(static_cast<T>(1.0 / factorial(kDegree)));
#pragma GCC unroll 16
  for (int i = kDegree - 1; i >= 2; --i) p = fma(p, r, splat<T>(static_cast<T>(1.0 / factorial(i))));
  return fma(r * r, p, r);
}

template <typename T>
static inline Vec<T> power_of_two(Bits<T> n) {
  using C = MathConstants<T>;
  return (Vec<T>)((n + C::kExponentBias) << C::kMantissaBits);
}

template <typename T>
static inline Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
  // NaN fails both comparisons and flows through r.
  x = x < C::kExpLowest ? splat<T>(C::kExpLowest) : x;
  x = x > C::kExpHighest ? splat<T>(C::kExpHighest) : x;
  const Reduced<T> reduced = reduce_by_ln2<T>(x);
  const Vec<T> p = expm1_reduced<T>(reduced.r) + splat<T>(1);
  // Two factors, so that results down to the subnormals and up to infinity come out rounded once.
  const Bits<T> half = reduced.n >> 1;
  return p * power_of_two<T>(half) * power_of_two<T>(reduced.n - half);
}

template <typename T>
static inline Vec<T> tanh(Vec<T> x) {
  using C = MathConstants<T>;
  // tanh |x| = E / (E + 2) with E = e^(2|x|) - 1.
  Vec<T> y = (x < 0 ? -x : x) * splat<T>(2);
  y = y > C::kTanhSaturation ? splat<T>(C::kTanhSaturation) : y;
  const Reduced<T> reduced = reduce_by_ln2<T>(y);
  const Vec<T> scale = power_of_two<T>(reduced.n);
  const Vec<T> e = fma(scale, expm1_reduced<T>(reduced.r), scale - splat<T>(1));
  const Vec<T> magnitude = e / (e + splat<T>(2));
  const Bits<T> sign = (Bits<T>)x & (Bits<T>)splat<T>(static_cast<T>(-0.0));
  return (Vec<T>)((Bits<T>)magnitude | sign);
}

template <typename T>
static inline Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp<T>(x < 0 ? x : -x);
  const Vec<T> positive = splat<T>(1) / (splat<T>(1) + e);
  return x < 0 ? e * positive : positive;
}

template <typename T>
static inline Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  const auto subnormal = x < C::kSmallestNormal;
  const Vec<T> two_to_mantissa = splat<T>(static_cast<T>(std::int64_t{1} << C::kMantissaBits));
  const Vec<T> normal = subnormal ? x * two_to_mantissa : x;
  // The offset makes the mantissa fall into [sqrt(1/2), sqrt(2)).
  const Bits<T> offset = (Bits<T>)splat<T>(static_cast<T>(0.70710678118654752440));
  const Bits<T> shifted = (Bits<T>)normal - offset;
  const Bits<T> exponent = shifted >> C::kMantissaBits;
  const Bits<T> mantissa_mask = ((Bits<T>{} + 1) << C::kMantissaBits) - 1;
  const Vec<T> m = (Vec<T>)((shifted & mantissa_mask) + offset);
  const Bits<T> k_bits = exponent - (subnormal ? Bits<T>{} + C::kMantissaBits : Bits<T>{});
  // Small integers become floating-point numbers by the rounding shift.
  const Vec<T> k = (Vec<T>)(k_bits + (Bits<T>)splat<T>(C::kRoundingShift)) - splat<T>(C::kRoundingShift);
  const Vec<T> f = m - splat<T>(1);
  const Vec<T> s = f / (f + splat<T>(2));
  const Vec<T> s2 = s * s;
  Vec<T> p = splat<T>(static_cast<T>(2.0 / (2 * C::kLogTerms + 1)));
#pragma GCC unroll 16
  for (int i = C::kLogTerms - 1; i >= 1; --i) p = fma(p, s2, splat<T>(static_cast<T>(2.0 / (2 * i + 1))));
  const Vec<T> half_f2 = splat<T>(static_cast<T>(0.5)) * f * f;
  const Vec<T> tail = fma(s, fma(p, s2, half_f2), k * splat<T>(C::kLn2Low));
  const Vec<T> result = fma(k, splat<T>(C::kLn2High), f - (half_f2 - tail));
  const Vec<T> infinity = splat<T>(static_cast<T>(__builtin_inf()));
  const Vec<T> special = x == 0 ? -infinity : (x == infinity ? x : splat<T>(static_cast<T>(__builtin_nan(""))));
  return (x > 0) & (x < infinity) ? result : special;
}

template <typename T, Vec<T> (*function)(Vec<T>)>
static void apply_elementwise(std::int64_t n, const T* x, T* y) {
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(y + i, function(load(x + i)));
  if (i == n) return;
  T tail[kLanes<T>] = {};
  for (std::int64_t j = i; j < n; ++j) tail[j - i] = x[j];
  store(tail, function(load(tail)));
  for (std::int64_t j = i; j < n; ++j) y[j] = tail[j - i];
}

template <typename T>
static bool all_finite(std::int64_t n, const T* x) {
  // x - x is 0 for finite x and NaN otherwise; a NaN in any lane survives the sum.
  Vec<T> sum{};
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) sum += load(x + i) - load(x + i);
  T total = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) total += sum[lane];
  for (; i < n; ++i) total += x[i] - x[i];
  return total == 0;
}

}  // namespace fastmlp::FASTMLP_ISA

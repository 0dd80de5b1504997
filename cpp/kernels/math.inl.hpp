// exp, log, tanh, the logistic function, the normal distribution, cosine and sine on vectors: additions,
// multiplications, fma, divisions and roots only, so that every instruction set gives the same bits. Included by
// table.inl.hpp only.
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
  static constexpr int kCosineTerms = 5;  // beside the constant 1: remainders below 2^-33 and 2^-29
  static constexpr int kSineTerms = 5;
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
  static constexpr int kCosineTerms = 8;  // remainders below 2^-58 and 2^-63
  static constexpr int kSineTerms = 9;
};

static constexpr double factorial(int n) { return n <= 1 ? 1.0 : n * factorial(n - 1); }

/// The values of a function at 0, 1, ..., rounded to T. A constexpr variable of this type is computed when the kernels
/// are compiled; Clang 14 calls a function within an unrolled loop at run time.
template <typename T, int kCount>
struct Coefficients {
  T at[kCount] = {};

  template <typename Function>
  explicit constexpr Coefficients(Function of) {
    for (int n = 0; n < kCount; ++n) at[n] = static_cast<T>(of(n));
  }
};

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
  constexpr Coefficients<T, kDegree + 1> kExp([](int n) { return 1.0 / factorial(n); });
  Vec<T> p = splat<T>(kExp.at[kDegree]);
#pragma GCC unroll 16
  for (int i = kDegree - 1; i >= 2; --i) p = fma(p, r, splat<T>(kExp.at[i]));
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

/// The logistic function of -|x| and of |x|. Neither is computed as 1 minus the other, which would lose digits.
template <typename T>
struct LogisticPair {
  Vec<T> smaller;
  Vec<T> larger;
};

template <typename T>
static inline LogisticPair<T> logistic_pair(Vec<T> x) {
  const Vec<T> e = exp<T>(x < 0 ? x : -x);
  const Vec<T> larger = splat<T>(1) / (splat<T>(1) + e);
  return {e * larger, larger};
}

template <typename T>
static inline Vec<T> sigmoid(Vec<T> x) {
  const LogisticPair<T> pair = logistic_pair<T>(x);
  return x < 0 ? pair.smaller : pair.larger;
}

/// x = 2^k m with m from sqrt(1/2) to sqrt(2), for normal x > 0.
template <typename T>
struct Scaled {
  Bits<T> k;
  Vec<T> m;
};

template <typename T>
static inline Scaled<T> scale_near_one(Vec<T> x) {
  using C = MathConstants<T>;
  const Bits<T> offset = (Bits<T>)splat<T>(static_cast<T>(0.70710678118654752440));
  const Bits<T> shifted = (Bits<T>)x - offset;
  const Bits<T> mantissa_mask = ((Bits<T>{} + 1) << C::kMantissaBits) - 1;
  return {shifted >> C::kMantissaBits, (Vec<T>)((shifted & mantissa_mask) + offset)};
}

/// k ln 2 + log(1 + f) for 1 + f from sqrt(1/2) to sqrt(2).
template <typename T>
static inline Vec<T> log_of_scaled(Bits<T> k_bits, Vec<T> f) {
  using C = MathConstants<T>;
  // Small integers become floating-point numbers by the rounding shift.
  const Vec<T> k = (Vec<T>)(k_bits + (Bits<T>)splat<T>(C::kRoundingShift)) - splat<T>(C::kRoundingShift);
  const Vec<T> s = f / (f + splat<T>(2));
  const Vec<T> s2 = s * s;
  Vec<T> p = splat<T>(static_cast<T>(2.0 / (2 * C::kLogTerms + 1)));
#pragma GCC unroll 16
  for (int i = C::kLogTerms - 1; i >= 1; --i) p = fma(p, s2, splat<T>(static_cast<T>(2.0 / (2 * i + 1))));
  const Vec<T> half_f2 = splat<T>(static_cast<T>(0.5)) * f * f;
  const Vec<T> tail = fma(s, fma(p, s2, half_f2), k * splat<T>(C::kLn2Low));
  return fma(k, splat<T>(C::kLn2High), f - (half_f2 - tail));
}

template <typename T>
static inline Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  const auto subnormal = x < C::kSmallestNormal;
  const Vec<T> two_to_mantissa = splat<T>(static_cast<T>(std::int64_t{1} << C::kMantissaBits));
  const Scaled<T> scaled = scale_near_one<T>(subnormal ? x * two_to_mantissa : x);
  const Bits<T> k = scaled.k - (subnormal ? Bits<T>{} + C::kMantissaBits : Bits<T>{});
  const Vec<T> result = log_of_scaled<T>(k, scaled.m - splat<T>(1));
  const Vec<T> infinity = splat<T>(static_cast<T>(__builtin_inf()));
  const Vec<T> special = x == 0 ? -infinity : (x == infinity ? x : splat<T>(static_cast<T>(__builtin_nan(""))));
  return ((x > 0) & (x < infinity)) ? result : special;
}

/// e^x - 1 for x <= 0.
template <typename T>
static inline Vec<T> expm1(Vec<T> x) {
  using C = MathConstants<T>;
  x = x < -C::kTanhSaturation ? splat<T>(-C::kTanhSaturation) : x;
  const Reduced<T> reduced = reduce_by_ln2<T>(x);
  const Vec<T> scale = power_of_two<T>(reduced.n);
  return fma(scale, expm1_reduced<T>(reduced.r), scale - splat<T>(1));
}

/// log(1 + x). What rounding 1 + x = 2^k m lost is added to m - 1, so that small x keep their digits.
template <typename T>
static inline Vec<T> log1p(Vec<T> x) {
  const Vec<T> one = splat<T>(1);
  const Vec<T> sum = one + x;
  const Vec<T> lost = x < 1 ? x - (sum - one) : one - (sum - x);
  const Scaled<T> scaled = scale_near_one<T>(sum);
  // Beyond 2^60 the lost part is below the rounding error.
  const Bits<T> most = Bits<T>{} + 60;
  const Vec<T> shrink = power_of_two<T>(scaled.k > most ? -most : -scaled.k);
  const Vec<T> f = scaled.k == 0 ? x : fma(lost, shrink, scaled.m - one);
  const Vec<T> result = log_of_scaled<T>(scaled.k, f);
  const Vec<T> infinity = splat<T>(static_cast<T>(__builtin_inf()));
  const Vec<T> edge = x == -1 ? -infinity : splat<T>(static_cast<T>(__builtin_nan("")));
  const Vec<T> special = ((x == 0) | (x == infinity)) ? x : edge;
  return ((x > -1) & (x < infinity) & (x != 0)) ? result : special;
}

/// log(1 + e^x).
template <typename T>
static inline Vec<T> softplus(Vec<T> x) {
  const Vec<T> tail = log1p<T>(exp<T>(x < 0 ? x : -x));
  return x < 0 ? tail : x + tail;
}

/// Coefficients from the highest power down to the constant.
template <typename T, int kCount>
static inline Vec<T> polynomial(const double (&coefficients)[kCount], Vec<T> x) {
  Vec<T> value = splat<T>(static_cast<T>(coefficients[0]));
#pragma GCC unroll 16
  for (int i = 1; i < kCount; ++i) value = fma(value, x, splat<T>(static_cast<T>(coefficients[i])));
  return value;
}

/// e^(-x^2 / 2) without the rounding error of the square. A square that overflows leaves 0.
template <typename T>
static inline Vec<T> exp_half_square(Vec<T> x) {
  x = x > 1000 ? splat<T>(1000) : x < -1000 ? splat<T>(-1000) : x;
  const Vec<T> half_x = splat<T>(static_cast<T>(0.5)) * x;
  const Vec<T> exponent = half_x * x;
  return exp<T>(-exponent) * (splat<T>(1) - fma(half_x, x, -exponent));
}

/// The standard normal distribution function: half the complementary error function of -x / sqrt(2), by the rational
/// approximations of W. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
/// 23, 1969.
template <typename T>
static inline Vec<T> normal_cdf(Vec<T> x) {
  constexpr double kNearTop[] = {1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
                                 3.77485237685302021e2, 3.20937758913846947e3};
  constexpr double kNearBottom[] = {1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
                                    2.84423683343917062e3};
  constexpr double kMiddleTop[] = {2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
                                   6.61191906371416295e1,  2.98635138197400131e2,  8.81952221241769090e2,
                                   1.71204761263407058e3,  2.05107837782607147e3,  1.23033935479799725e3};
  constexpr double kMiddleBottom[] = {1.0,
                                      1.57449261107098347e1,
                                      1.17693950891312499e2,
                                      5.37181101862009858e2,
                                      1.62138957456669019e3,
                                      3.29079923573345963e3,
                                      4.36261909014324716e3,
                                      3.43936767414372164e3,
                                      1.23033935480374942e3};
  constexpr double kFarTop[] = {1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
                                1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4};
  constexpr double kFarBottom[] = {1.0,
                                   2.56852019228982242,
                                   1.87295284992346725,
                                   5.27905102951428412e-1,
                                   6.05183413124413191e-2,
                                   2.33520497626869185e-3};
  const Vec<T> half = splat<T>(static_cast<T>(0.5));
  const Vec<T> y = (x < 0 ? -x : x) * splat<T>(static_cast<T>(0.70710678118654752440));
  const Vec<T> square = y * y;
  const Vec<T> near_error = y * polynomial<T>(kNearTop, square) / polynomial<T>(kNearBottom, square);
  const Vec<T> middle = polynomial<T>(kMiddleTop, y) / polynomial<T>(kMiddleBottom, y);
  const Vec<T> inverse = splat<T>(1) / square;
  const Vec<T> far_part = inverse * polynomial<T>(kFarTop, inverse) / polynomial<T>(kFarBottom, inverse);
  const Vec<T> far_tail = (splat<T>(static_cast<T>(0.56418958354775628695)) - far_part) / y;
  const Vec<T> tail = half * exp_half_square<T>(x) * (y > 4 ? far_tail : middle);
  const Vec<T> upper = y < static_cast<T>(0.46875) ? half - half * near_error : tail;
  // Beyond the largest square the result is 0; NaN stays NaN.
  const Vec<T> complement = y > 40 ? Vec<T>{} : upper;
  return x < 0 ? complement : splat<T>(1) - complement;
}

/// Inverse of the standard normal distribution function for 0 < p < 1, relative error about 1e-7: M. Wichura,
/// "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37, 1988 (PPND7).
template <typename T>
static inline Vec<T> inverse_normal_cdf(Vec<T> p) {
  constexpr double kCenterTop[] = {5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179};
  constexpr double kCenterBottom[] = {6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0};
  constexpr double kMiddleTop[] = {1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777};
  constexpr double kMiddleBottom[] = {1.2021132975e-1, 7.3700164250e-1, 1.0};
  constexpr double kFarTop[] = {1.7337203997e-2, 4.2868294337e-1, 3.0812263860, 6.6579051150};
  constexpr double kFarBottom[] = {1.2258202635e-2, 2.4197894225e-1, 1.0};
  const Vec<T> q = p - splat<T>(static_cast<T>(0.5));
  const Vec<T> r = fma(-q, q, splat<T>(static_cast<T>(0.180625)));
  const Vec<T> center = q * polynomial<T>(kCenterTop, r) / polynomial<T>(kCenterBottom, r);
  const Vec<T> s = sqrt(-log<T>(q < 0 ? p : splat<T>(1) - p));
  const Vec<T> m = s - splat<T>(static_cast<T>(1.6));
  const Vec<T> f = s - splat<T>(5);
  const Vec<T> middle = polynomial<T>(kMiddleTop, m) / polynomial<T>(kMiddleBottom, m);
  const Vec<T> far = polynomial<T>(kFarTop, f) / polynomial<T>(kFarBottom, f);
  const Vec<T> tail = s > 5 ? far : middle;
  const Vec<T> signed_tail = q < 0 ? -tail : tail;
  const Vec<T> size = q < 0 ? -q : q;
  return size > static_cast<T>(0.425) ? signed_tail : center;
}

constexpr double kTwoPi = 6.28318530717958647693;

/// Coefficient of t^n in the series of e^(2 pi t), with the sign that it has in those of cosine and sine.
static constexpr double turn_coefficient(int n) {
  double value = n % 4 < 2 ? 1.0 : -1.0;
  for (int i = 1; i <= n; ++i) value *= kTwoPi / i;
  return value;
}

/// cos(2 pi t) and sin(2 pi t).
template <typename T>
struct CosineSine {
  Vec<T> cosine;
  Vec<T> sine;
};

/// Both of |2 pi t| <= pi / 4 by their Taylor series.
template <typename T>
static inline CosineSine<T> eighth_of_turn(Vec<T> t) {
  using C = MathConstants<T>;
  const Vec<T> square = t * t;
  constexpr Coefficients<T, C::kCosineTerms + 1> kCosine([](int n) { return turn_coefficient(2 * n); });
  constexpr Coefficients<T, C::kSineTerms> kSine([](int n) { return turn_coefficient(2 * n + 1); });
  Vec<T> cosine = splat<T>(kCosine.at[C::kCosineTerms]);
#pragma GCC unroll 16
  for (int i = C::kCosineTerms - 1; i >= 0; --i) cosine = fma(cosine, square, splat<T>(kCosine.at[i]));
  Vec<T> sine = splat<T>(kSine.at[C::kSineTerms - 1]);
#pragma GCC unroll 16
  for (int i = C::kSineTerms - 2; i >= 0; --i) sine = fma(sine, square, splat<T>(kSine.at[i]));
  return {cosine, sine * t};
}

/// Absolute error below 2^-23.2 and 2^-51.5. Subtracting whole turns, then quarters, is exact for every t; numbers
/// without a fraction are whole turns, and the infinities give NaN.
template <typename T>
static inline CosineSine<T> cos_sin_turns(Vec<T> t) {
  using C = MathConstants<T>;
  const Bits<T> sign_bit = (Bits<T>)splat<T>(static_cast<T>(-0.0));
  const Vec<T> size = (Vec<T>)((Bits<T>)t & ~sign_bit);
  const Vec<T> unit = splat<T>(static_cast<T>(std::int64_t{1} << C::kMantissaBits));
  const Vec<T> whole = (size + unit) - unit;
  const Vec<T> rest = size - (size < unit ? whole : size);
  const Vec<T> shifted = fma(rest, splat<T>(4), splat<T>(C::kRoundingShift));
  const Vec<T> quarters = shifted - splat<T>(C::kRoundingShift);
  const CosineSine<T> near = eighth_of_turn<T>(fma(quarters, splat<T>(static_cast<T>(-0.25)), rest));
  const Bits<T> quadrant = (Bits<T>)shifted;  // its lowest two bits
  const auto swaps = (quadrant & 1) != 0;
  constexpr int kToSign = 8 * sizeof(T) - 2;  // from the second lowest bit
  const Bits<T> cosine_sign = ((quadrant + 1) << kToSign) & sign_bit;
  const Bits<T> sine_sign = ((quadrant << kToSign) ^ (Bits<T>)t) & sign_bit;
  return {(Vec<T>)((Bits<T>)(swaps ? near.sine : near.cosine) ^ cosine_sign),
          (Vec<T>)((Bits<T>)(swaps ? near.cosine : near.sine) ^ sine_sign)};
}

template <typename T>
static inline Vec<T> cos_turns(Vec<T> t) {
  return cos_sin_turns<T>(t).cosine;
}

template <typename T>
static inline Vec<T> sin_turns(Vec<T> t) {
  return cos_sin_turns<T>(t).sine;
}

}  // namespace fastmlp::FASTMLP_ISA

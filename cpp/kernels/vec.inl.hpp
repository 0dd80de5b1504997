// SIMD vectors of one instruction set, written with the compiler's vector types. Included by table.inl.hpp only.
// Requires FASTMLP_ISA, FASTMLP_VECTOR_BYTES, overloads of fma, sqrt and convert (bytes to scalars) for both vector
// types, and multiply_words: the 64-bit products of the low halves of 64-bit lanes.

namespace fastmlp::FASTMLP_ISA {

template <typename T>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  typedef float V __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
  typedef float Unaligned __attribute__((vector_size(FASTMLP_VECTOR_BYTES), aligned(4), may_alias));
  typedef std::int32_t Bits __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
};
template <>
struct VectorTypes<double> {
  typedef double V __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
  typedef double Unaligned __attribute__((vector_size(FASTMLP_VECTOR_BYTES), aligned(8), may_alias));
  typedef std::int64_t Bits __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
};

template <>
struct VectorTypes<Pair> {
  typedef Pair V __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
  typedef Pair Unaligned __attribute__((vector_size(FASTMLP_VECTOR_BYTES), aligned(4), may_alias));
  typedef std::int32_t Bits __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
};

template <typename T>
using Vec = typename VectorTypes<T>::V;
template <typename T>
using Bits = typename VectorTypes<T>::Bits;
typedef std::uint64_t Words __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));

template <typename T>
constexpr int kLanes = FASTMLP_VECTOR_BYTES / sizeof(T);
/// Elements of a panel row: two vectors where that makes 16 or more, else the 16 virtual lanes of the reductions.
template <typename T>
constexpr int kPanel = 2 * kLanes<T> > 16 ? 2 * kLanes<T> : 16;
template <typename T>
constexpr int kVectors = kPanel<T> / kLanes<T>;

template <typename T>
static inline Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorTypes<T>::Unaligned*>(p);
}
template <typename T>
static inline void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorTypes<T>::Unaligned*>(p) = v;
}
/// A number that is part of a type, for generic lambdas.
template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

/// The first `count` lanes from memory, `filler` in the others, and their counterpart: neither touches memory beyond.
template <typename T>
static inline Vec<T> load_first(const T* p, std::int64_t count, T filler) {
  if (count >= kLanes<T>) return load(p);
  T lanes[kLanes<T>];
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = i < count ? p[i] : filler;
  return load(lanes);
}
template <typename T>
static inline void store_first(T* p, Vec<T> v, std::int64_t count) {
  if (count >= kLanes<T>) return store(p, v);
  T lanes[kLanes<T>];
  store(lanes, v);
  for (std::int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}
/// All lanes x; subtracting zero keeps the sign of a zero, adding it would not.
template <typename T>
static inline Vec<T> splat(T x) {
  return x - Vec<T>{};
}
template <typename T>
static inline Vec<T> lane_numbers() {
  Vec<T> v;
  for (int i = 0; i < kLanes<T>; ++i) v[i] = static_cast<T>(i);
  return v;
}

/// The 16 virtual lanes of every reduction across outputs, whatever the width of a vector.
template <typename T>
struct Lanes16 {
  static constexpr int kCount = 16 / kLanes<T>;
  Vec<T> part[kCount];

  static Lanes16 filled(T x) {
    Lanes16 result;
    for (auto& v : result.part) v = splat<T>(x);
    return result;
  }
  static Lanes16 from(const T* p) {
    Lanes16 result;
    for (int i = 0; i < kCount; ++i) result.part[i] = load(p + i * kLanes<T>);
    return result;
  }
  void to(T* p) const {
    for (int i = 0; i < kCount; ++i) store(p + i * kLanes<T>, part[i]);
  }
};

/// The numbers of lanes 0, 1, ... as part of a type.
template <int... kLane>
struct LaneList {};
template <int kCount, int... kLane>
static constexpr auto lane_list() {
  if constexpr (kCount == 0) {
    return LaneList<kLane...>{};
  } else {
    return lane_list<kCount - 1, kCount - 1, kLane...>();
  }
}

/// Lane i of the result is lane source(i) of a, followed by b.
template <typename T, typename Source, int... kLane>
static inline Vec<T> shuffle(Vec<T> a, Vec<T> b, Source source, LaneList<kLane...>) {
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, source(kLane)...);
#else  // GCC 11
  return __builtin_shuffle(a, b, Bits<T>{source(kLane)...});
#endif
}
template <typename T, typename Source>
static inline Vec<T> shuffle(Vec<T> a, Vec<T> b, Source source) {
  return shuffle<T>(a, b, source, lane_list<kLanes<T>>());
}

/// Combines lane i with lane i + kStep, then + kStep / 2, ..., + 1; lane 0 holds the result.
template <typename T, int kStep, typename Combine>
static inline Vec<T> combine_halves(Vec<T> v, Combine combine) {
  if constexpr (kStep == 0) {
    return v;
  } else {
    const Vec<T> upper = shuffle<T>(v, v, [](int lane) constexpr { return (lane + kStep) % kLanes<T>; });
    return combine_halves<T, kStep / 2>(combine(v, upper), combine);
  }
}

/// Combines 16 lanes by halves: lane i with lane i + 8, then + 4, + 2, + 1. `combine` works on vectors.
template <typename T, typename Combine>
static inline T reduce16(Lanes16<T> lanes, Combine combine) {
  for (int parts = Lanes16<T>::kCount / 2; parts > 0; parts /= 2) {
    for (int i = 0; i < parts; ++i) lanes.part[i] = combine(lanes.part[i], lanes.part[i + parts]);
  }
  return combine_halves<T, kLanes<T> / 2>(lanes.part[0], combine)[0];
}

}  // namespace fastmlp::FASTMLP_ISA

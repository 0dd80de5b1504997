// The factors of a product in registers: vectors of numbers, or of pairs in bfloat16. Included before gemm.inl.hpp
// only. An instruction set with FASTMLP_DOT_PAIRS has dot_pairs(sum, a, b), which computes what Bfloat16Kernels wants.

namespace fastmlp::FASTMLP_ISA {

/// Both halves of a vector of pairs as vectors of floats.
struct PairHalves {
  Vec<float> first;
  Vec<float> second;
};

#ifdef FASTMLP_DOT_PAIRS
constexpr bool kDotsPairs = true;
#else
constexpr bool kDotsPairs = false;
#endif
template <typename E>
constexpr bool kHasHalves = std::is_same_v<E, Pair> && !kDotsPairs;

/// Rows of the largest register tile. Pairs without an instruction of their own need registers for both halves.
template <typename E>
constexpr int kTileRows = (FASTMLP_ACCUMULATORS - (kHasHalves<E> ? 4 : 0)) / kVectors<E>;

template <typename E>
using Factor = std::conditional_t<kHasHalves<E>, PairHalves, Vec<E>>;

template <typename E>
static inline Factor<E> as_factor(Vec<E> v) {
  if constexpr (kHasHalves<E>) {
    return {(Vec<float>)(v << 16), (Vec<float>)(v & 0xffff0000u)};
  } else {
    return v;
  }
}
template <typename E>
static inline Factor<E> load_factor(const E* p) {
  return as_factor<E>(load(p));
}
template <typename E>
static inline Factor<E> splat_factor(E x) {
  return as_factor<E>(splat<E>(x));
}

template <typename E>
static inline Vec<Sum<E>> multiply_add(Factor<E> a, Factor<E> b, Vec<Sum<E>> sum) {
  if constexpr (!std::is_same_v<E, Pair>) {
    return fma(a, b, sum);
#ifdef FASTMLP_DOT_PAIRS
  } else {
    return dot_pairs(sum, a, b);
#else
  } else {
    return fma(a.first, b.first, fma(a.second, b.second, sum));
#endif
  }
}

}  // namespace fastmlp::FASTMLP_ISA

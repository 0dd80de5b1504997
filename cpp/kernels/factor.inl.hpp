// What a product adds to its sums in registers: products of numbers, or of pairs in bfloat16. Included before
// gemm.inl.hpp only. An instruction set with FASTMLP_DOT_PAIRS has dot_pairs(sum, a, b), which computes what
// Bfloat16Kernels wants.

namespace fastmlp::FASTMLP_ISA {

#ifdef FASTMLP_DOT_PAIRS
constexpr bool kDotsPairs = true;
#else
constexpr bool kDotsPairs = false;
#endif
/// Whether the products of E are those of floats, which are the halves of its elements.
template <typename E>
constexpr bool kHasHalves = std::is_same_v<E, Pair> && !kDotsPairs;

/// Rows of the largest register tile. Both halves of b occupy registers, and the halves of a are taken by vectors.
template <typename E>
constexpr int kTileRows = [] {
  const int rows = (FASTMLP_ACCUMULATORS - (kHasHalves<E> ? 1 : 0)) / kVectors<E>;
  return kHasHalves<E> && rows > kLanes<E> ? kLanes<E> : rows;
}();

/// A vector of pairs as two vectors of floats.
struct PairHalves {
  Vec<float> first;
  Vec<float> second;
};

static inline PairHalves halves(Vec<Pair> v) { return {(Vec<float>)(v << 16), (Vec<float>)(v & 0xffff0000u)}; }

template <typename E>
static inline Vec<Sum<E>> multiply_add(Vec<E> a, Vec<E> b, Vec<Sum<E>> sum) {
  if constexpr (!std::is_same_v<E, Pair>) {
    return fma(a, b, sum);
#ifdef FASTMLP_DOT_PAIRS
  } else {
    return dot_pairs(sum, a, b);
#else
  } else {
    return fma(halves(a).first, halves(b).first, fma(halves(a).second, halves(b).second, sum));
#endif
  }
}

}  // namespace fastmlp::FASTMLP_ISA

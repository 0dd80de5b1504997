// Products of numbers in bfloat16, and what makes their operands. Included by table.inl.hpp and isa_avx512_bf16.cpp
// only.

namespace fastmlp::FASTMLP_ISA {

/// The nearest bfloat16 in the high half of each lane, ties to even; NaN stays NaN, and subnormal numbers become zero.
static inline Vec<Pair> rounded(Vec<float> x) {
  const Vec<Pair> given = (Vec<Pair>)x;
  const Vec<Pair> bits = (given & 0x7f800000u) == 0u ? given & 0x80000000u : given;
  const Vec<Pair> nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
  return (x == x ? nearest : (bits | 0x400000u)) & 0xffff0000u;
}

/// Stores pairs of neighboring lanes, of which there are half as many.
static inline void store_lane_pairs(Pair* p, Vec<Pair> high) {
  typedef std::uint64_t Lanes __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
  typedef Pair Half __attribute__((vector_size(FASTMLP_VECTOR_BYTES / 2)));
  typedef Pair HalfInMemory __attribute__((vector_size(FASTMLP_VECTOR_BYTES / 2), aligned(4), may_alias));
  const Lanes both = (Lanes)high;
  *reinterpret_cast<HalfInMemory*>(p) = __builtin_convertvector((both >> 16) | (both >> 32), Half);
}

static void round_pairs(std::int64_t rows, const float* source, Pair* column_pairs, Pair* row_pairs) {
  for (std::int64_t row = 0; row < rows; row += 2, source += 2 * kPanel<float>) {
    const bool single = row + 1 == rows;
    for (int j = 0; j < kPanel<float>; j += kLanes<float>) {
      const Vec<Pair> first = rounded(load(source + j));
      const Vec<Pair> second = single ? Vec<Pair>{} : rounded(load(source + kPanel<float> + j));
      if (column_pairs != nullptr) {
        store_lane_pairs(column_pairs + row * kRowElements<Pair> + j / 2, first);
        if (!single) store_lane_pairs(column_pairs + (row + 1) * kRowElements<Pair> + j / 2, second);
      }
      if (row_pairs != nullptr) store(row_pairs + row / 2 * kPanel<Pair> + j, (first >> 16) | second);
    }
  }
}

static void transpose_pairs(std::int64_t rows, std::int64_t pairs, const Pair* source, Pair* destination) {
  transpose_panel<Pair, kRowElements<Pair>>(rows, pairs, source, destination);
}

static double pair_chains(std::int64_t steps, float* sink) {
  constexpr int kChains = kTileRows<Pair> * kVectors<Pair>;
  Vec<float> chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = splat<float>(sink[0]) + static_cast<float>(i);
  const Vec<Pair> one = splat<Pair>(0x3f803f80u);
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) chain[i] = multiply_add<Pair>(one, one, chain[i]);
  }
  Vec<float> sum{};
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  sink[0] = sum[0];
  return 4.0 * kChains * kLanes<Pair> * static_cast<double>(steps);
}

extern const Bfloat16Kernels kBfloat16;
constinit const Bfloat16Kernels kBfloat16 = {gemm_nn<Pair>, gemm_tn<Pair>, round_pairs, transpose_pairs, pair_chains};

}  // namespace fastmlp::FASTMLP_ISA

// The arithmetic limit of one core: independent chains of fused multiply-adds that never leave the registers.
// Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

template <typename T>
static double fma_chains(std::int64_t steps, T* sink) {
  // As many chains as a product tile has: more than latency x throughput of any core so far.
  constexpr int kChains = kTileRows<T> * kVectors<T>;
  Vec<T> chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = splat<T>(sink[0]) + lane_numbers<T>();
  const Vec<T> factor = splat<T>(sink[1]);
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], factor, factor);
  }
  Vec<T> sum{};
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  sink[0] = sum[0];
  return 2.0 * kChains * kLanes<T> * static_cast<double>(steps);
}

}  // namespace fastmlp::FASTMLP_ISA

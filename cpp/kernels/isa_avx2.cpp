// Kernels for AVX2 with FMA: names the instruction set, holds no logic.
#include <immintrin.h>

#define FASTMLP_ISA avx2
#define FASTMLP_VECTOR_BYTES 32
#define FASTMLP_ACCUMULATORS 12

namespace fastmlp::avx2 {
static inline __m256 fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
static inline __m256d fma(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
}  // namespace fastmlp::avx2

#include "kernels/table.inl.hpp"

// Kernels for AVX-512 (F, DQ, BW, VL): names the instruction set, holds no logic.
#include <immintrin.h>

#define FASTMLP_ISA avx512
#define FASTMLP_VECTOR_BYTES 64
#define FASTMLP_ACCUMULATORS 28

namespace fastmlp::avx512 {
static inline __m512 fma(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
static inline __m512d fma(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
}  // namespace fastmlp::avx512

#include "kernels/table.inl.hpp"

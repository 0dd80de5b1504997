// Kernels for AVX2 with FMA: names the instruction set, holds no logic.
#include <immintrin.h>

#include <cstdint>

#define FASTMLP_ISA avx2
#define FASTMLP_VECTOR_BYTES 32
#define FASTMLP_ACCUMULATORS 12

namespace fastmlp::avx2 {
static inline __m256 fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
static inline __m256d fma(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
static inline __m256 sqrt(__m256 a) { return _mm256_sqrt_ps(a); }
static inline __m256d sqrt(__m256d a) { return _mm256_sqrt_pd(a); }
static inline __m256 convert(const std::uint8_t* p, __m256) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
static inline __m256d convert(const std::uint8_t* p, __m256d) {
  return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_loadu_si32(p)));
}
typedef std::uint64_t WordLanes __attribute__((vector_size(32)));
static inline WordLanes multiply_words(WordLanes a, WordLanes b) {
  return (WordLanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
}  // namespace fastmlp::avx2

#include "kernels/table.inl.hpp"

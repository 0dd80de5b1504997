// Arithmetic with AVX-512 (F, DQ, BW, VL) for vec.inl.hpp, in the namespace of FASTMLP_ISA. Included by isa_avx512*.cpp
// only.
#include <immintrin.h>

#include <cstdint>

#define FASTMLP_VECTOR_BYTES 64
#define FASTMLP_ACCUMULATORS 28

namespace fastmlp::FASTMLP_ISA {
static inline __m512 fma(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
static inline __m512d fma(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
// Intrinsics with a full mask, here and below, because for the plain ones GCC 12 warns of an uninitialized operand in
// its own headers.
static inline __m512 sqrt(__m512 a) { return _mm512_maskz_sqrt_ps(0xFFFF, a); }
static inline __m512d sqrt(__m512d a) { return _mm512_maskz_sqrt_pd(0xFF, a); }
static inline __m512 convert(const std::uint8_t* p, __m512) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_maskz_cvtepi32_ps(0xFFFF, _mm512_maskz_cvtepu8_epi32(0xFFFF, bytes));
}
static inline __m512d convert(const std::uint8_t* p, __m512d) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm512_maskz_cvtepi32_pd(0xFF, _mm256_cvtepu8_epi32(bytes));
}
typedef std::uint64_t WordLanes __attribute__((vector_size(64)));
static inline WordLanes multiply_words(WordLanes a, WordLanes b) {
  return (WordLanes)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
}
}  // namespace fastmlp::FASTMLP_ISA

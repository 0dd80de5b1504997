// Products of numbers in bfloat16 by the instruction vdpbf16ps. All other kernels are those of AVX-512.
#define FASTMLP_ISA avx512_bf16
#define FASTMLP_DOT_PAIRS

#include "kernels/avx512.inl.hpp"
#include "kernels/kernel_table.hpp"

namespace fastmlp::avx512_bf16 {
typedef Pair PairLanes __attribute__((vector_size(64)));
static inline __m512 dot_pairs(__m512 sum, PairLanes a, PairLanes b) {
#if defined(__clang_major__) && __clang_major__ >= 15 && __clang_major__ <= 18
  __asm__("" : "+v"(a));  // Clang 16 never ends where a number that is broadcast becomes one in bfloat16
#endif
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
}  // namespace fastmlp::avx512_bf16

#include "kernels/vec.inl.hpp"
//
#include "kernels/factor.inl.hpp"
//
#include "kernels/gemm.inl.hpp"
//
#include "kernels/bfloat16.inl.hpp"

// Kernels for 64-bit Arm with NEON, which each such CPU has: names the instruction set, holds no logic.
#include <arm_neon.h>

#include <cstdint>

#define FASTMLP_ISA neon
#define FASTMLP_VECTOR_BYTES 16
#define FASTMLP_ACCUMULATORS 24

namespace fastmlp::neon {
typedef float FloatLanes __attribute__((vector_size(16)));
typedef double DoubleLanes __attribute__((vector_size(16)));
static inline FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
  return (FloatLanes)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
static inline DoubleLanes fma(DoubleLanes a, DoubleLanes b, DoubleLanes c) {
  return (DoubleLanes)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
static inline FloatLanes sqrt(FloatLanes a) { return (FloatLanes)vsqrtq_f32((float32x4_t)a); }
static inline DoubleLanes sqrt(DoubleLanes a) { return (DoubleLanes)vsqrtq_f64((float64x2_t)a); }
static inline FloatLanes convert(const std::uint8_t* p, FloatLanes) {
  std::uint32_t bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  const uint16x8_t halves = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes)));
  return (FloatLanes)vcvtq_f32_u32(vmovl_u16(vget_low_u16(halves)));
}
static inline DoubleLanes convert(const std::uint8_t* p, DoubleLanes) {
  return DoubleLanes{static_cast<double>(p[0]), static_cast<double>(p[1])};
}
typedef std::uint64_t WordLanes __attribute__((vector_size(16)));
static inline WordLanes multiply_words(WordLanes a, WordLanes b) {
  return (WordLanes)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}
}  // namespace fastmlp::neon

#include "kernels/table.inl.hpp"

// Arithmetic with vectors of SVE that have FASTMLP_VECTOR_BYTES, in the namespace of FASTMLP_ISA. The compiler is told
// this size (-msve-vector-bits) and computes with its own vectors by instructions of SVE. Included by isa_sve*.cpp
// only.
#include <arm_sve.h>

#include <cstdint>

#define FASTMLP_ACCUMULATORS 24

namespace fastmlp::FASTMLP_ISA {
typedef float FloatLanes __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
typedef double DoubleLanes __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
typedef svfloat32_t SveFloats __attribute__((arm_sve_vector_bits(8 * FASTMLP_VECTOR_BYTES)));
typedef svfloat64_t SveDoubles __attribute__((arm_sve_vector_bits(8 * FASTMLP_VECTOR_BYTES)));

static inline FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
  return (FloatLanes)(SveFloats)svmla_f32_x(svptrue_b32(), (SveFloats)c, (SveFloats)a, (SveFloats)b);
}
static inline DoubleLanes fma(DoubleLanes a, DoubleLanes b, DoubleLanes c) {
  return (DoubleLanes)(SveDoubles)svmla_f64_x(svptrue_b64(), (SveDoubles)c, (SveDoubles)a, (SveDoubles)b);
}
static inline FloatLanes sqrt(FloatLanes a) { return (FloatLanes)(SveFloats)svsqrt_f32_x(svptrue_b32(), (SveFloats)a); }
static inline DoubleLanes sqrt(DoubleLanes a) {
  return (DoubleLanes)(SveDoubles)svsqrt_f64_x(svptrue_b64(), (SveDoubles)a);
}
static inline FloatLanes convert(const std::uint8_t* p, FloatLanes) {
  return (FloatLanes)(SveFloats)svcvt_f32_u32_x(svptrue_b32(), svld1ub_u32(svptrue_b32(), p));
}
static inline DoubleLanes convert(const std::uint8_t* p, DoubleLanes) {
  return (DoubleLanes)(SveDoubles)svcvt_f64_u64_x(svptrue_b64(), svld1ub_u64(svptrue_b64(), p));
}
typedef std::uint64_t WordLanes __attribute__((vector_size(FASTMLP_VECTOR_BYTES)));
static inline WordLanes multiply_words(WordLanes a, WordLanes b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }
}  // namespace fastmlp::FASTMLP_ISA

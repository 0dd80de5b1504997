// Kernels for any CPU: 16-byte vectors of the compiler and a correctly rounded fused multiply-add, by the
// hardware where the baseline has one (aarch64), by arithmetic elsewhere.
#include "kernels/fma_generic.inl.hpp"

#define FASTMLP_ISA generic
#define FASTMLP_VECTOR_BYTES 16
#define FASTMLP_ACCUMULATORS 12

#include "kernels/table.inl.hpp"

// Kernels for any CPU: 16-byte vectors of the compiler and a correctly rounded fused multiply-add.
#include "kernels/generic.inl.hpp"

#define FASTMLP_ISA generic
#define FASTMLP_VECTOR_BYTES 16
#define FASTMLP_ACCUMULATORS 12

#include "kernels/table.inl.hpp"

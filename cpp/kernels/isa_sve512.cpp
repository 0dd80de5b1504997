// Kernels for 64-bit Arm with vectors of SVE of 512 bits: names the instruction set, holds no logic.
#define FASTMLP_ISA sve512
#define FASTMLP_VECTOR_BYTES 64

#include "kernels/sve.inl.hpp"
//
#include "kernels/table.inl.hpp"

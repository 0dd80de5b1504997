// Kernels for 64-bit Arm with vectors of SVE of 256 bits: names the instruction set, holds no logic.
#define FASTMLP_ISA sve256
#define FASTMLP_VECTOR_BYTES 32

#include "kernels/sve.inl.hpp"
//
#include "kernels/table.inl.hpp"

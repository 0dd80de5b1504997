// Kernels for AVX-512 (F, DQ, BW, VL): names the instruction set, holds no logic.
#define FASTMLP_ISA avx512

#include "kernels/avx512.inl.hpp"
//
#include "kernels/table.inl.hpp"

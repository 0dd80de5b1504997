// What this CPU can do, read from the CPU itself: the builtin functions of compilers for this need a part of the
// run-time library that some toolchains do not link, and then report a CPU that can do nothing.
#pragma once

namespace fastmlp {

struct Cpu {
  bool avx2 = false;    // with FMA
  bool avx512 = false;  // F, DQ, BW, VL
  bool avx512_bf16 = false;
  /// Processors of Intel take two cycles for vdpbf16ps, 64 flop, in which their two multiply-add units do 128.
  bool has_fast_bf16 = false;
  int sve_bytes = 0;  // size of a vector of SVE, 0 without it
};

/// Only what the operating system saves when it changes threads counts. Read once.
const Cpu& cpu();

}  // namespace fastmlp

// The arithmetic limit of this machine, for comparison with a training step.
#pragma once

#include <functional>
#include <string>

namespace fastmlp {

/// Floating-point operations per second of register-only fused multiply-adds in float32 or float64, or of pairs in
/// bfloat16, on `threads` cores at once, measured for about `seconds`. The calling thread asks keep_going() all the
/// time, and stops when it returns false. isa: empty for the active one.
double measure_peak(int threads, double seconds, const std::string& isa, const std::string& dtype,
                    const std::function<bool()>& keep_going);

}  // namespace fastmlp

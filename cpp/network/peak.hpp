// The arithmetic limit of the machine at hand, to compare a training step with.
#pragma once

#include <string>

namespace fastmlp {

/// Floating-point operations per second of register-only fused multiply-adds in float32 on `threads` cores at once,
/// measured for about `seconds`. isa: empty for the active one.
double measure_peak(int threads, double seconds, const std::string& isa);

}  // namespace fastmlp

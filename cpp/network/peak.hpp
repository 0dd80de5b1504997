// The arithmetic limit of the machine at hand, to compare a training step with.
#pragma once

#include <functional>
#include <string>

namespace fastmlp {

/// Floating-point operations per second of register-only fused multiply-adds in float32 on `threads` cores at once,
/// measured for about `seconds`, or until keep_going(), which the calling thread asks all the time, returns false. isa:
/// empty for the active one.
double measure_peak(int threads, double seconds, const std::string& isa, const std::function<bool()>& keep_going);

}  // namespace fastmlp

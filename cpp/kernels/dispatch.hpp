// Which instruction sets were built, which this CPU runs, and the table of kernels of each.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// Names of the instruction sets usable here, best first.
std::vector<std::string> available_isas();

/// The first of available_isas(), or the one that FASTMLP_ISA names; throws std::invalid_argument when that is
/// unknown or not supported by this CPU. Decided at the first call.
const std::string& active_isa();

/// Why the active kernels are many times slower than those of other instruction sets, with the cure; else empty.
std::string slowness();

/// Returns the kernels of the named instruction set, of the active one for an empty name; throws
/// std::invalid_argument for an unknown name.
template <typename T>
const KernelTable<T>& kernel_table(const std::string& isa = "");

/// The same for products in bfloat16.
const Bfloat16Kernels& bfloat16_kernels(const std::string& isa = "");

/// The name itself, or active_isa() for an empty one; throws as kernel_table.
std::string checked_isa(const std::string& isa);

}  // namespace fastmlp

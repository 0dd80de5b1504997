// The prediction of an ensemble from those of its members.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "ops/loss.hpp"

namespace fastmlp {

/// Elements of scratch memory that average_members needs.
std::int64_t member_scratch_size(std::int64_t members, std::int64_t outputs, std::int64_t panel);

/// Row r of `mean` is the prediction of the ensemble: the mean of rows r of all members of `outputs`. Where a loss
/// reads logits or logarithms, probabilities and rates are averaged, and `mean` holds their logits or logarithms.
template <typename T>
void average_members(const KernelTable<T>& kernels, const std::vector<OutputGroup<T>>& groups, std::int64_t members,
                     const Panels<T>& outputs, const Panels<T>& mean, T* scratch);

}  // namespace fastmlp

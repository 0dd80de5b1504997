// The loss of a network's outputs: one or several groups of adjacent outputs, each with its own loss.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// Outputs [first, first + outputs) of the network. The arrays are padded to whole panels.
template <typename T>
struct OutputGroup {
  Loss loss = Loss::mse;
  std::int64_t first = 0;
  std::int64_t outputs = 0;
  T weight = 1;
  T smoothing = 0;
  std::vector<T> parameters;
  std::vector<T> output_weights;
};

/// Targets of one group: classes of the samples, or rows of values.
template <typename T>
struct GroupTargets {
  const std::int64_t* classes = nullptr;
  const T* values = nullptr;
};

/// The rows of a batch whose loss one thread computes.
template <typename T>
struct MeasuredRows {
  Range rows;
  const std::int64_t* index = nullptr;  // sample of each row; null: consecutive samples from first_sample on
  std::int64_t first_sample = 0;
  const T* sample_weights = nullptr;  // of all samples
  T scale = 1;                        // 1 / total weight of the batch
  T* row_loss = nullptr;              // of these rows: sum of the groups' weighted losses
  std::int32_t* correct = nullptr;    // of these rows: by the first group
};

/// Elements of scratch memory that output_loss needs.
template <typename T>
std::int64_t loss_scratch_size(const std::vector<OutputGroup<T>>& groups, std::int64_t outputs, std::int64_t panel);

/// Loss of the given rows of outputs. Its gradient by the outputs goes to doutputs, unless that has no data.
template <typename T>
void output_loss(const KernelTable<T>& kernels, const std::vector<OutputGroup<T>>& groups,
                 const std::vector<GroupTargets<T>>& targets, const MeasuredRows<T>& measured, const Panels<T>& outputs,
                 const Panels<T>& doutputs, T* scratch);

}  // namespace fastmlp

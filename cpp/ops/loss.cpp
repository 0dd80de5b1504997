#include "ops/loss.hpp"

#include <algorithm>

namespace fastmlp {
namespace {

/// Rows that are copied at a time, where there are several groups.
constexpr std::int64_t kCopiedRows = 16;

/// Copies columns [first, first + group.cols) of rows `rows` of `all` to `group`; with kBack from `group` to `all`.
template <bool kBack, typename T>
void copy_columns(const Panels<T>& all, std::int64_t first, Range rows, const Panels<T>& group) {
  for (std::int64_t row = 0; row < rows.size(); ++row) {
    for (std::int64_t j = 0; j < group.cols; ++j) {
      T& outer = *(all.at((first + j) / all.panel, rows.begin + row) + (first + j) % all.panel);
      T& inner = *(group.at(j / group.panel, row) + j % group.panel);
      (kBack ? outer : inner) = kBack ? inner : outer;
    }
  }
}

/// Sets what follows the last column of rows `rows` to zero.
template <typename T>
void clear_padding(const Panels<T>& panels, Range rows) {
  const std::int64_t last = panels.count() - 1;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    std::fill(panels.at(last, row) + panels.width(last), panels.at(last, row) + panels.panel, T{0});
  }
}

template <typename T>
LossCall<T> loss_call(const OutputGroup<T>& group, const GroupTargets<T>& targets, const MeasuredRows<T>& measured,
                      const Panels<T>& values, const T* first_value, T* first_derivative) {
  LossCall<T> call{};
  call.rows = measured.rows.size();
  call.outputs = group.outputs;
  call.values = first_value;
  call.gradient = first_derivative;
  call.panel_stride = values.stride();
  call.classes = targets.classes;
  call.targets = targets.values;
  call.index = measured.index;
  call.sample_weights = measured.sample_weights;
  if (measured.index == nullptr) {
    if (call.classes != nullptr) call.classes += measured.first_sample;
    if (call.targets != nullptr) call.targets += measured.first_sample * group.outputs;
    if (call.sample_weights != nullptr) call.sample_weights += measured.first_sample;
  }
  call.output_weights = group.output_weights.data();
  call.parameters = group.parameters.data();
  call.smoothing = group.smoothing;
  call.scale = measured.scale * group.weight;
  call.row_loss = measured.row_loss;
  call.correct = measured.correct;
  return call;
}

/// Adds the loss of one group on at most kCopiedRows rows.
template <typename T>
void add_group(const KernelTable<T>& kernels, const OutputGroup<T>& group, const GroupTargets<T>& targets,
               const MeasuredRows<T>& measured, const Panels<T>& outputs, const Panels<T>& doutputs, T* scratch) {
  const std::int64_t rows = measured.rows.size();
  const Panels<T> values{scratch, rows, group.outputs, outputs.panel};
  const Panels<T> dvalues{scratch + values.size(), rows, group.outputs, outputs.panel};
  copy_columns<false>(outputs, group.first, measured.rows, values);
  T group_loss[kCopiedRows];
  std::int32_t correct[kCopiedRows];
  MeasuredRows<T> own = measured;
  own.row_loss = group_loss;
  own.correct = group.first == 0 ? measured.correct : correct;
  const bool differentiates = doutputs.data != nullptr;
  kernels.loss[static_cast<int>(group.loss)](
      loss_call(group, targets, own, values, values.data, differentiates ? dvalues.data : nullptr));
  for (std::int64_t row = 0; row < rows; ++row) measured.row_loss[row] += group.weight * group_loss[row];
  if (differentiates) copy_columns<true>(doutputs, group.first, measured.rows, dvalues);
}

}  // namespace

template <typename T>
std::int64_t loss_scratch_size(const std::vector<OutputGroup<T>>& groups, std::int64_t outputs, std::int64_t panel) {
  return groups.size() == 1 ? 0 : 2 * kCopiedRows * round_up(outputs, panel);
}

template <typename T>
void output_loss(const KernelTable<T>& kernels, const std::vector<OutputGroup<T>>& groups,
                 const std::vector<GroupTargets<T>>& targets, const MeasuredRows<T>& measured, const Panels<T>& outputs,
                 const Panels<T>& doutputs, T* scratch) {
  const bool differentiates = doutputs.data != nullptr;
  const Range rows = measured.rows;
  if (groups.size() == 1) {
    const T weight = groups[0].weight;
    kernels.loss[static_cast<int>(groups[0].loss)](loss_call(groups[0], targets[0], measured, outputs,
                                                             static_cast<const T*>(outputs.at(0, rows.begin)),
                                                             differentiates ? doutputs.at(0, rows.begin) : nullptr));
    if (weight == 1) return;
    for (std::int64_t row = 0; row < rows.size(); ++row) measured.row_loss[row] *= weight;
    return;
  }
  for (std::int64_t first = rows.begin; first < rows.end; first += kCopiedRows) {
    const std::int64_t done = first - rows.begin;
    MeasuredRows<T> part = measured;
    part.rows = {first, std::min(first + kCopiedRows, rows.end)};
    if (measured.index != nullptr) part.index = measured.index + done;
    part.first_sample = measured.first_sample + done;
    part.row_loss = measured.row_loss + done;
    part.correct = measured.correct + done;
    std::fill_n(part.row_loss, part.rows.size(), T{0});
    for (std::size_t g = 0; g < groups.size(); ++g) {
      add_group(kernels, groups[g], targets[g], part, outputs, doutputs, scratch);
    }
    if (differentiates) clear_padding(doutputs, part.rows);
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                             \
  template std::int64_t loss_scratch_size(const std::vector<OutputGroup<T>>&, std::int64_t, std::int64_t); \
  template void output_loss(const KernelTable<T>&, const std::vector<OutputGroup<T>>&,                     \
                            const std::vector<GroupTargets<T>>&, const MeasuredRows<T>&, const Panels<T>&, \
                            const Panels<T>&, T*);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

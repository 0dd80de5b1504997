// The memory of a training run. Taken at once before the first step; what only some epochs need, before the first of
// those.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/arena.hpp"
#include "base/check.hpp"
#include "base/team.hpp"
#include "network/mlp.hpp"
#include "network/plan.hpp"
#include "ops/batch_norm.hpp"
#include "ops/dense.hpp"

namespace fastmlp {

template <typename T>
class StepMemory;

/// Level 0 is the input, level l the output of layer l. Gradients are by the pre-activations of levels 1 and up, and
/// by the input itself.
template <typename T>
class RunMemory {
 public:
  /// slots: arrays of the optimizer's state. With `updates` there is room for a copy of the network's state.
  RunMemory(const Mlp<T>& mlp, std::int64_t batch_size, const Plan& plan, int slots, bool updates);

  T* slots() const { return slot_count_ == 0 ? nullptr : arena_.at<T>(slots_); }
  int slot_count() const { return slot_count_; }
  /// Of the network's state, when the run updates it.
  T* start_of_epoch() const { return arena_.at<T>(start_of_epoch_); }
  /// What a step with `differentiates_input` has left.
  Panels<T> input_gradient(std::int64_t batch) const { return gradient(0, batch); }

  void require_input(std::int64_t columns);
  void require_input_gradient();
  /// The gradient of all parameters, kept for a step.
  T* require_gradients();
  /// Room for averages of the network's state.
  T* require_averages();
  T* averages() const { return averages_ == nullptr ? nullptr : averages_->template at<T>(0); }

  /// May be asked while another thread's epoch takes what it needs.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  // What members share during a step is reached through the declaration of a pass alone.
  friend class StepMemory<T>;

  Panels<T> input(int member, std::int64_t batch, std::int64_t columns) const;
  LayerOutput<T> output(std::int64_t level, std::int64_t batch) const {
    LayerOutput<T> output = outputs_[static_cast<std::size_t>(level)];
    output.values.rows = output.slopes.rows = batch;
    return output;
  }
  Panels<T> gradient(std::int64_t level, std::int64_t batch) const;
  BatchNormMemory<T> batch_norm(std::int64_t level, std::int64_t batch) const;
  /// Parts of one room, as large as the team's count makes them: a team smaller than planned has larger shares.
  T* transposed(const Member& member) const {
    return arena_.at<T>(transposed_) + member.index * transposed_elements(member.count);
  }
  T* scratch(int member) const { return arena_.at<T>(at(scratch_, member)); }
  T* loss_scratch(int member) const { return arena_.at<T>(at(loss_scratch_, member)); }
  T* row_loss() const { return arena_.at<T>(row_loss_); }
  std::int32_t* correct() const { return arena_.at<std::int32_t>(correct_); }
  /// One sum per output of each layer, for reductions over the parameters.
  double* column_sums() const { return arena_.at<double>(column_sums_); }

  static std::size_t at(const std::vector<std::size_t>& offsets, std::int64_t i) {
    return offsets[static_cast<std::size_t>(i)];
  }
  /// For the most rows that one of `members` has.
  std::int64_t transposed_elements(int members) const {
    const std::int64_t panel = mlp_.kernels().panel;
    const std::int64_t rows = (batch_size_ + members - 1) / members;
    return checked_product((rows + panel - 1) / panel * panel, widest_);
  }
  Panels<T> level_panels(const std::vector<std::size_t>& offsets, std::int64_t level, std::int64_t batch) const;

  /// Room for `count` elements in place of what `room` held.
  void allocate(std::unique_ptr<Arena>& room, std::int64_t count);

  const Mlp<T>& mlp_;
  std::int64_t batch_size_;
  int members_;
  bool own_input_;
  int slot_count_;
  std::int64_t widest_ = 1;  // layer
  Arena arena_;
  std::unique_ptr<Arena> input_;
  std::unique_ptr<Arena> input_gradient_;
  std::unique_ptr<Arena> gradients_;
  std::unique_ptr<Arena> averages_;
  std::atomic<std::size_t> bytes_{0};
  std::int64_t input_elements_ = 0;      // of one member
  std::vector<LayerOutput<T>> outputs_;  // by level, that of the input without data
  std::vector<std::size_t> level_gradients_;
  std::vector<std::size_t> normalised_;
  std::vector<std::size_t> moments_;
  std::size_t transposed_ = 0;
  std::vector<std::size_t> scratch_;  // by member
  std::vector<std::size_t> loss_scratch_;
  std::size_t row_loss_ = 0;
  std::size_t correct_ = 0;
  std::size_t slots_ = 0;
  std::size_t start_of_epoch_ = 0;
  std::size_t column_sums_ = 0;
};

/// Whether the backward pass needs more of layer l + 1 than its output.
template <typename T>
bool keeps_slopes(const KernelTable<T>& kernels, const LayerSpec& layer) {
  return layer.dropout > 0 || !kernels.derivative_from_output[static_cast<int>(layer.activation)];
}

}  // namespace fastmlp

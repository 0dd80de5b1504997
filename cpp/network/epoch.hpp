// One epoch as its team sees it: forward, loss and backward-data of each step, and its book-keeping. The update of
// the parameters is in update.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/team.hpp"
#include "network/trainer.hpp"
#include "network/update.hpp"
#include "ops/batch_norm.hpp"

namespace fastmlp {

/// Between the two barriers that enclose an update nobody writes `stop_` or `diverged_`, so all members take the same
/// decision there. Members that have nothing to do, or were told to stop, still come to every barrier of a step.
template <typename T>
class Epoch {
 public:
  /// order: of the samples; null: as they are.
  Epoch(RunState<T>& state, const EpochRequest<T>& request, const std::int64_t* order);

  void run(const Member& member);
  EpochResult result() const;

 private:
  Batch<T> make_batch(std::int64_t first, bool leaves_out, const Member& member) const;
  std::int64_t batch_size(std::int64_t first) const;
  Dropout dropout(std::int64_t level, const Batch<T>& batch) const;
  Split split(std::int64_t l) const { return state_.plan.splits[static_cast<std::size_t>(l - 1)]; }

  void gather(const Batch<T>& batch, const Member& member);
  void forward_and_backward(const Batch<T>& batch, const Member& member);
  bool forward(std::int64_t l, const Batch<T>& batch, const Member& member);
  BatchNormSettings batch_norm_settings(std::int64_t l) const;
  void move_running_moments(const Batch<T>& batch, const Member& member);
  bool backward_data(std::int64_t l, const Batch<T>& batch, const Member& member);
  void normalise_backward(std::int64_t level, const Batch<T>& batch, const Member& member);
  void output_gradient(const Batch<T>& batch, const Member& member);
  void user_loss(const Batch<T>& batch);

  Range gathered_rows(std::int64_t size, const Member& member) const;
  void mark_columns(std::int64_t first, const Member& member);
  void prefetch_rows(std::int64_t first, const Member& member);
  template <typename Work>
  bool in_blocks(Range rows, std::int64_t depth, Range panels, bool whole_panels, const Member& member, Work work);
  void report();
  void count_step(const Batch<T>& batch);
  void count_penalty(const Batch<T>& batch);

  RunState<T>& state_;
  const EpochRequest<T>& request_;
  const NetworkSpec& spec_;
  const KernelTable<T>& kernels_;
  const std::int64_t* order_;
  Update<T> update_;
  std::int64_t lowest_;  // layer that backward-data comes down to
  std::atomic<bool> stop_{false};
  std::atomic<bool> diverged_{false};
  Progress progress_;  // written by member 0 alone, as all below
  double step_penalty_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace fastmlp

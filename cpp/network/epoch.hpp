// One epoch as its team sees it: the passes of each step up to backward-data, and its book-keeping. What follows, the
// update of the parameters, is in update.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/team.hpp"
#include "network/step.hpp"
#include "network/step_memory.hpp"
#include "network/trainer.hpp"
#include "network/update.hpp"
#include "ops/batch_norm.hpp"

namespace fastmlp {

/// Members that have nothing to do, or were told to stop, still come to every meeting of a step.
template <typename T>
class Epoch {
 public:
  /// order: of the samples; null: as they are.
  Epoch(RunState<T>& state, const EpochRequest<T>& request, const std::int64_t* order);

  void run(const Member& member);
  EpochResult result() const;

 private:
  /// What a member knows of its step.
  struct Own {
    Moments moments;
    int patience;             // batches without enough zero columns that are still looked at
    std::int64_t number = 0;  // of the step in this call
    Batch<T> batch{};
    UpdateSettings<T> settings{};
    bool goes_on = true;  // computing; false from where the run was stopped to the verdict
    bool halts = false;
  };

  Batch<T> make_batch(std::int64_t index, std::uint32_t step) const;
  Dropout dropout(std::int64_t level, const Batch<T>& batch) const;

  void compute(const StepMemory<T>& memory, Own& own);
  void collect_columns(const StepMemory<T>& memory, Own& own);
  void count_penalty(const StepMemory<T>& memory);
  void gather(const StepMemory<T>& memory);
  bool forward(const StepMemory<T>& memory);
  BatchNormSettings batch_norm_settings(std::int64_t l) const;
  void move_running_moments(const StepMemory<T>& memory);
  void user_loss(const StepMemory<T>& memory);
  void output_gradient(const StepMemory<T>& memory);
  bool backward_data(const StepMemory<T>& memory);
  void normalise_backward(const StepMemory<T>& memory);
  void close();
  void verdict(Own& own);
  void look_ahead(const StepMemory<T>& memory, const Own& own);
  double weight_of_right_ones(const Batch<T>& batch, const std::int32_t* correct) const;
  void tally(const StepMemory<T>& memory, const Own& own);

  void mark_columns(Range batch, const Member& member);
  void prefetch_rows(Range rows);
  template <typename Work>
  bool in_blocks(Range rows, std::int64_t depth, Range panels, bool whole_panels, const Member& member, Work work);
  void report();

  RunState<T>& state_;
  const EpochRequest<T>& request_;
  const NetworkSpec& spec_;
  const KernelTable<T>& kernels_;
  const std::int64_t* order_;
  const Batches batches_;
  const Range steps_;
  const Moments first_moments_;  // member 0 moves those of the state
  Update<T> update_;
  const std::vector<Pass> looking_;  // a step that looks for columns of zeros
  const std::vector<Pass> settled_;  // one that takes all columns
  // Lines of their own: what one member writes in every step costs the others what they read beside it.
  alignas(kCacheLine) std::atomic<bool> stop_{false};  // asked for; computing breaks off
  std::atomic<bool> diverged_{false};
  bool halts_ = false;                     // stop_ as all members take it for this step
  alignas(kCacheLine) Progress progress_;  // written by member 0 alone, as all below
  double step_penalty_ = 0;
  std::int64_t steps_done_ = 0;
};

}  // namespace fastmlp

// One epoch as its team runs it: the passes of each step, except for the update of the parameters in update.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/team.hpp"
#include "network/step.hpp"
#include "network/step_memory.hpp"
#include "network/trainer.hpp"
#include "network/update.hpp"
#include "ops/batch_norm.hpp"

namespace fastmlp {

/// Threads without work in a pass, and those that break off because the run is to stop, still reach every barrier.
template <typename T>
class Epoch {
 public:
  Epoch(RunState<T>& state, const EpochRequest<T>& request, const SampleOrder& order);

  void run(const Worker& worker);
  EpochResult result() const;

 private:
  /// What each thread keeps for itself from pass to pass.
  struct ThreadState {
    Moments moments;
    int scans_left;         // batches without enough zero columns before the epoch stops looking for them
    std::size_t steps = 0;  // completed in this call
    Batch<T> batch{};
    StepUpdate<T>* settings = nullptr;
    bool computes = true;  // false once a pass was broken off, until the end of the step
    bool stopped = false;
  };

  /// Rows of a shard of this process in a batch, relative to the batch.
  Range shard_rows(std::int64_t batch, std::int64_t shard) const;
  /// Place of the first row of a batch in the order of the samples of this process.
  std::int64_t first_place(std::int64_t batch) const;
  /// The samples of the shard after the given one, in the same batch or the next.
  Range next_samples(std::int64_t batch, std::int64_t shard) const;
  Batch<T> make_batch(std::int64_t index, const ThreadState& thread) const;
  void take_shard(std::int64_t shard, Batch<T>& batch) const;
  Dropout dropout(std::size_t activation, const Batch<T>& batch) const;
  Derivative<T> derivative(const StepMemory<T>& memory, std::size_t l) const;

  void run_pass(const StepMemory<T>& memory, ThreadState& thread);
  void collect_columns(const StepMemory<T>& memory, ThreadState& thread);
  void sum_penalty(const StepMemory<T>& memory);
  void gather(const StepMemory<T>& memory);
  void take_samples(const StepMemory<T>& memory);
  void scale_inputs(const StepMemory<T>& memory);
  bool forward(const StepMemory<T>& memory);
  void forward_rows(const StepMemory<T>& memory, Range panels);
  BatchNormSettings batch_norm_settings(std::size_t l) const;
  void round_activation(const StepMemory<T>& memory, std::size_t a, Range rows, Range panels);
  void round_gradient(const StepMemory<T>& memory, std::size_t l, Range rows, Range panels);
  void user_loss(const StepMemory<T>& memory);
  void loss(const StepMemory<T>& memory);
  bool backward_data(const StepMemory<T>& memory);
  void finish_backward(const StepMemory<T>& memory);
  void finish_rows(const StepMemory<T>& memory);
  void report_progress();
  void check_stop(ThreadState& thread);
  void update_running_moments(const StepMemory<T>& memory);
  void prepare_next_batch(const StepMemory<T>& memory, const ThreadState& thread);
  void sum_results(const StepMemory<T>& memory);
  void exchange_shards(const StepMemory<T>& memory);
  void record_results(const StepMemory<T>& memory, const ThreadState& thread);

  void mark_columns(Range batch, const Worker& worker);
  void prefetch_rows(Range rows, std::int64_t member);
  void measure_rows(const StepMemory<T>& memory, std::int64_t member, Range rows);
  double correct_weight(const Batch<T>& batch, const std::int32_t* correct) const;
  template <typename Work>
  bool in_blocks(Range rows, std::int64_t depth, Range panels, bool whole_panels, const Worker& worker, Work work);
  void call_monitor();

  RunState<T>& state_;
  const EpochRequest<T>& request_;
  const NetworkSpec& spec_;
  const KernelTable<T>& kernels_;
  const SampleOrder order_;
  const Batches batches_;
  const Range steps_;
  const Moments first_moments_;  // at the start of this call
  Update<T> update_;
  std::vector<StepUpdate<T>> step_updates_;  // of each thread
  const std::vector<Pass> scanning_passes_;  // of a step that looks for zero columns
  const std::vector<Pass> plain_passes_;     // of a step that takes all columns
  // Cache lines of their own: a value that one thread writes in every step would slow down reads of its neighbors.
  alignas(kCacheLine) std::atomic<bool> stop_{false};  // a thread or the monitor asks to stop
  std::atomic<bool> diverged_{false};
  bool stops_now_ = false;                 // value of stop_ that all threads act on in this step
  alignas(kCacheLine) Progress progress_;  // written by thread 0 alone, like all below
  double step_penalty_ = 0;
  std::vector<ShardResults> results_;  // stack of sums over shards
  std::int64_t steps_done_ = 0;
};

}  // namespace fastmlp

// From the gradients of a step to new parameters: the fused update of blocks of weights and, where all gradients are
// needed first, clipping; then what follows an update: bounded norms and averages.
#pragma once

#include <atomic>
#include <cstdint>

#include "network/step_memory.hpp"
#include "network/trainer.hpp"

namespace fastmlp {

template <typename T>
class Update {
 public:
  Update(RunState<T>& state, const EpochRequest<T>& request);

  bool trains(std::int64_t l) const {
    return request_.trainable.empty() || request_.trainable[static_cast<std::size_t>(l - 1)];
  }
  /// Sets the shared hand-out of blocks back; by one member, before the others reach `run`.
  void start() { next_block_.store(0, std::memory_order_relaxed); }

  // Passes of a step.
  void run(const StepMemory<T>& memory, const UpdateSettings<T>& settings);
  void measure_norms(const StepMemory<T>& memory);
  void clip(const StepMemory<T>& memory, const UpdateSettings<T>& settings);
  void follow_up(const StepMemory<T>& memory);

 private:
  bool by_outputs(std::int64_t l) const {
    return state_.plan.splits[static_cast<std::size_t>(l - 1)] == Split::outputs;
  }
  void own_layers(const StepMemory<T>& memory, const UpdateSettings<T>& settings);
  void shared_blocks(const StepMemory<T>& memory, const UpdateSettings<T>& settings);
  void blocks(const StepMemory<T>& memory, Range wanted, const UpdateSettings<T>& settings);
  void idle_rows(const StepMemory<T>& memory, const UpdateSettings<T>& settings);
  void normalisation(std::int64_t l, const StepMemory<T>& memory, const GradientSink<T>& sink);
  /// work(layer number, panel, first column, counted through all layers) for every `count`-th panel of trained layers.
  template <typename Work>
  void for_units(int index, int count, Work work) const;

  RunState<T>& state_;
  const EpochRequest<T>& request_;
  const KernelTable<T>& kernels_;
  alignas(kCacheLine) std::atomic<std::int64_t> next_block_{0};
};

}  // namespace fastmlp

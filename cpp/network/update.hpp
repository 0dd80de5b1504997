// From the gradients of a step to new parameters. Blocks of weights are updated as soon as their gradient is complete;
// gradients that are clipped are kept first. Bounds on norms and moving averages follow the update.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "network/step_memory.hpp"
#include "network/trainer.hpp"

namespace fastmlp {

template <typename T>
class Update {
 public:
  Update(RunState<T>& state, const EpochRequest<T>& request);

  bool trains(std::size_t l) const { return request_.trainable.empty() || request_.trainable[l]; }
  /// Makes all chunks available again. One thread calls it before any thread calls `run`.
  void restart_chunks() { first_block_ = next_block_.load(std::memory_order_relaxed); }

  // Passes of a step.
  void run(const StepMemory<T>& memory, const StepUpdate<T>& settings);
  void add_gradients(const StepMemory<T>& memory);
  void measure_norms(const StepMemory<T>& memory);
  void apply_gradients(const StepMemory<T>& memory, const StepUpdate<T>& settings);
  void after_update(const StepMemory<T>& memory);
  void round_weights(const Worker& worker);

 private:
  bool by_outputs(std::size_t l) const { return state_.plan().splits[l] == Split::outputs; }
  void clear_gradients(const StepMemory<T>& memory);
  void update_own_panels(const StepMemory<T>& memory, const StepUpdate<T>& settings);
  void update_scales(std::size_t l, const StepMemory<T>& memory, const GradientSink<T>& sink);
  void update_input_scales(std::size_t l, const StepMemory<T>& memory, const StepUpdate<T>& settings);
  void update_chunks(const StepMemory<T>& memory, const StepUpdate<T>& settings);
  void update_blocks(const StepMemory<T>& memory, Range blocks, const StepUpdate<T>& settings);
  void update_embeddings(const StepMemory<T>& memory, Range columns, const StepUpdate<T>& settings);
  void update_zero_columns(const StepMemory<T>& memory, const StepUpdate<T>& settings);
  void round_panel(const ParameterArray<T>& array, std::int64_t p);
  RoundedLayer rounded_operands(const StepMemory<T>& memory, std::size_t l) const;
  LayerGradient<T> gradient(const StepMemory<T>& memory, std::size_t l) const;
  /// Columns of the samples whose embeddings are trained.
  std::int64_t embedded_columns() const;
  /// The part of the parameters that holds an array.
  std::size_t part_of(const ParameterArray<T>& array) const;
  const KindSettings<T>& settings_of(const ParameterArray<T>& array, const StepUpdate<T>& settings) const;
  /// work(array, offset, panel, first column) for every `count`-th panel of the trained arrays, beginning with number
  /// `index`; offset is that of the panel in the array. Panels and columns are numbered through all of them.
  template <typename Work>
  void for_panels(int index, int count, Work work) const;

  RunState<T>& state_;
  const EpochRequest<T>& request_;
  const KernelTable<T>& kernels_;
  const std::size_t layers_;
  alignas(kCacheLine) std::atomic<std::int64_t> next_block_{0};  // of all updates
  std::int64_t first_block_ = 0;                                 // of this update
};

}  // namespace fastmlp

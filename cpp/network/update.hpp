// From the gradients of a step to new parameters: the fused update of blocks of weights and, where all gradients are
// needed first, clipping; then what follows an update: bounded norms and averages.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/team.hpp"
#include "network/trainer.hpp"

namespace fastmlp {

/// A mini-batch as one member sees it.
template <typename T>
struct Batch {
  std::int64_t first;                               // in the order of the epoch
  std::int64_t size;                                // samples of all members
  double weight;                                    // of all its samples
  Range rows;                                       // those of this member
  std::uint32_t step = 0;                           // of the run, numbers the random masks
  InputColumns columns{};                           // of the input
  const std::vector<std::int32_t>* idle = nullptr;  // the columns left out
};

/// What layer l + 1 reads.
template <typename T>
LayerInput<T> layer_input(const RunState<T>& state, std::int64_t l, const Batch<T>& batch, const Member& member);

/// Output panels of layer l (from 1) that are a member's own where a layer is split by outputs.
template <typename T>
Range own_panels(const RunState<T>& state, std::int64_t l, const Member& member);

template <typename T>
class Update {
 public:
  Update(RunState<T>& state, const EpochRequest<T>& request);

  bool trains(std::int64_t l) const {
    return request_.trainable.empty() || request_.trainable[static_cast<std::size_t>(l - 1)];
  }
  /// Sets the shared hand-out of blocks back; by one member, before the barrier that precedes `run`.
  void start() { next_block_.store(0, std::memory_order_relaxed); }
  void run(const Batch<T>& batch, const UpdateSettings<T>& settings, const Member& member);

 private:
  void own_layers(const Batch<T>& batch, const GradientSink<T>& sink, const Member& member);
  void shared_blocks(const Batch<T>& batch, const GradientSink<T>& sink, const Member& member);
  void blocks(const Batch<T>& batch, Range wanted, const GradientSink<T>& sink, const Member& member);
  void normalisation(std::int64_t l, const Batch<T>& batch, const GradientSink<T>& sink, const Member& member);
  void clipped(const GradientSink<T>& sink, const Member& member);
  void follow_up(const Member& member);
  /// work(layer, p, first column, counted through all layers) for this member's share of the panels of trained layers.
  template <typename Work>
  void for_own_units(const Member& member, Work work) const;

  RunState<T>& state_;
  const EpochRequest<T>& request_;
  const KernelTable<T>& kernels_;
  std::atomic<std::int64_t> next_block_{0};
};

}  // namespace fastmlp

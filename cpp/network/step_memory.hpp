// The only way of a pass to what the team shares: by buffer, for reading or for writing, as its declaration says.
#pragma once

#include <cstdint>
#include <vector>

#include "base/team.hpp"
#include "network/input.hpp"
#include "network/step.hpp"
#include "network/trainer.hpp"

namespace fastmlp {

/// A mini-batch as one member sees it.
template <typename T>
struct Batch {
  std::int64_t index = 0;                           // in the epoch
  std::int64_t first = 0;                           // its first sample, in the order of the epoch
  std::int64_t size = 0;                            // samples of all members
  double weight = 0;                                // of all its samples
  std::uint32_t step = 0;                           // of the run, numbers the random masks
  InputColumns columns{};                           // of the input
  const std::vector<std::int32_t>* idle = nullptr;  // the columns left out
};

/// One pass over one batch as one member sees it. Builds with FASTMLP_CHECKS end the process where a pass touches
/// what it does not declare.
template <typename T>
class StepMemory {
 public:
  StepMemory(RunState<T>& state, const Pass& pass, const Batch<T>& batch, const Member& member)
      : state_(state), pass_(pass), batch_(batch), member_(member) {}

  const Pass& pass() const { return pass_; }
  const Batch<T>& batch() const { return batch_; }
  const Member& member() const { return member_; }

  /// The member's part of the batch's rows: its own, or all where it takes output panels.
  Range rows() const { return pass_.share == Share::rows ? own_rows() : Range{0, batch_.size}; }
  Range own_rows() const { return even_share(batch_.size, member_.index, member_.count); }
  /// The member's part of `count` panels: its own, or all where it takes rows.
  Range panels(std::int64_t count) const { return pass_.share == Share::outputs ? own_panels(count) : Range{0, count}; }
  Range own_panels(std::int64_t count) const { return even_share(count, member_.index, member_.count); }

  LayerOutput<T> output(Mode mode, std::int64_t level) const {
    require_declared(Buffer::outputs, level, mode);
    return state_.memory.output(level, batch_.size);
  }
  /// What layer l + 1 reads; of the input, the live columns.
  LayerInput<T> layer_input(Mode mode, std::int64_t l) const {
    require_declared(Buffer::outputs, l, mode);
    if (l > 0) return {state_.memory.output(l, batch_.size).values};
    const std::vector<std::int32_t>* live = batch_.columns.live;
    const std::int64_t columns =
        live == nullptr ? state_.mlp.spec().features() : static_cast<std::int64_t>(live->size());
    return {state_.memory.input(member_.index, batch_.size, columns), live == nullptr ? nullptr : live->data()};
  }
  Panels<T> gradient(Mode mode, std::int64_t level) const {
    require_declared(Buffer::gradients, level, mode);
    return state_.memory.gradient(level, batch_.size);
  }
  /// mode: of the normalised values; the moments are written with them, and the gradients of scales and shifts after.
  BatchNormMemory<T> batch_norm(Mode mode, std::int64_t level) const {
    require_declared(Buffer::normalised, level, mode);
    require_declared(Buffer::batch_moments, level, Mode::writes);
    return state_.memory.batch_norm(level, batch_.size);
  }
  /// Without the normalised values.
  BatchNormMemory<T> batch_moments(Mode mode, std::int64_t level) const {
    require_declared(Buffer::batch_moments, level, mode);
    BatchNormMemory<T> moments = state_.memory.batch_norm(level, batch_.size);
    moments.normalised.data = nullptr;
    return moments;
  }
  /// Layer l, from 1: its parameters.
  const DenseLayer<T>& layer(Mode mode, std::int64_t l) const {
    require_declared(Buffer::parameters, l, mode);
    return state_.mlp.layer(l - 1);
  }
  /// The same where only its shape, its activation and the addresses of its parameters matter.
  const DenseLayer<T>& layer_shape(std::int64_t l) const { return state_.mlp.layer(l - 1); }
  T* row_loss(Mode mode) const {
    require_declared(Buffer::row_results, 0, mode);
    return state_.memory.row_loss();
  }
  std::int32_t* correct(Mode mode) const {
    require_declared(Buffer::row_results, 0, mode);
    return state_.memory.correct();
  }
  double* column_sums(Mode mode) const {
    require_declared(Buffer::column_sums, 0, mode);
    return state_.memory.column_sums();
  }
  T* averages(Mode mode, std::int64_t l) const {
    require_declared(Buffer::averages, l, mode);
    return state_.memory.averages();
  }
  /// Where the gradients of layer l go: to its parameters, or to where they are kept.
  GradientSink<T> sink(std::int64_t l, const UpdateSettings<T>& settings) const {
    GradientSink<T> sink = state_.sink;
    require_declared(sink.gradients == nullptr ? Buffer::parameters : Buffer::kept_gradients, l, Mode::writes);
    sink.settings = settings;
    return sink;
  }
  /// The kept gradients of layer l, and its optimizer's state.
  GradientSink<T> kept(Mode mode, std::int64_t l, const UpdateSettings<T>& settings) const {
    require_declared(Buffer::kept_gradients, l, mode);
    GradientSink<T> sink = state_.sink;
    sink.settings = settings;
    return sink;
  }

  // The member's own.
  T* transposed() const { return state_.memory.transposed(member_); }
  T* scratch() const { return state_.memory.scratch(member_.index); }
  T* loss_scratch() const { return state_.memory.loss_scratch(member_.index); }

  void require_declared([[maybe_unused]] Buffer buffer, [[maybe_unused]] std::int64_t level,
                        [[maybe_unused]] Mode mode) const {
#ifdef FASTMLP_CHECKS
    if (!pass_.declares(buffer, level, mode)) __builtin_trap();
#endif
  }

 private:
  RunState<T>& state_;
  const Pass& pass_;
  const Batch<T>& batch_;
  const Member& member_;
};

}  // namespace fastmlp

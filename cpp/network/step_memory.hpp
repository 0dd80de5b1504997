// Access of a pass to the buffers that the threads share: by buffer, part and mode, as the pass declares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/team.hpp"
#include "network/input.hpp"
#include "network/step.hpp"
#include "network/trainer.hpp"

namespace fastmlp {

/// A mini-batch as one thread sees it.
template <typename T>
struct Batch {
  std::int64_t index = 0;                                   // in the epoch
  std::int64_t first = 0;                                   // its first sample, in the order of the epoch
  std::int64_t size = 0;                                    // samples of all threads
  double weight = 0;                                        // total weight of its samples
  std::uint32_t step = 0;                                   // of the run; numbers the random masks
  InputColumns columns{};                                   // of the input
  const std::vector<std::int32_t>* zero_columns = nullptr;  // columns left out of the input; null: none is
};

/// The memory of one pass over one batch on one thread. Builds with FASTMLP_CHECKS end the process when a pass touches
/// what it does not declare.
template <typename T>
class StepMemory {
 public:
  StepMemory(RunState<T>& state, const Pass& pass, const Batch<T>& batch, const Worker& worker)
      : state_(state), pass_(pass), batch_(batch), worker_(worker) {}

  const Pass& pass() const { return pass_; }
  const Batch<T>& batch() const { return batch_; }
  const Worker& worker() const { return worker_; }

  /// The rows of the batch that this thread computes: its own, or all in a pass shared by output panels.
  Range rows() const { return pass_.share == Share::rows ? worker_.share(batch_.size) : Range{0, batch_.size}; }
  /// The panels, of `count`, that this thread computes: its own, or all in a pass shared by rows.
  Range panels(std::int64_t count) const { return pass_.share == Share::outputs ? own_panels(count) : Range{0, count}; }
  Range own_panels(std::int64_t count) const { return worker_.share(count); }

  /// What layer l reads: activation l, of the input the columns that are not left out.
  LayerInput<T> layer_input(Mode mode, std::size_t l) const {
    require_declared(Buffer::activations, l, mode);
    if (l > 0) return {state_.memory.output(l - 1, batch_.size).values};
    const std::vector<std::int32_t>* nonzero = batch_.columns.nonzero;
    const std::int64_t columns =
        nonzero == nullptr ? state_.mlp.spec().features() : static_cast<std::int64_t>(nonzero->size());
    return {state_.memory.input(worker_.index, batch_.size, columns), nonzero == nullptr ? nullptr : nonzero->data()};
  }
  /// What layer l writes: activation l + 1.
  LayerOutput<T> layer_output(Mode mode, std::size_t l) const {
    require_declared(Buffer::activations, l + 1, mode);
    return state_.memory.output(l, batch_.size);
  }
  Panels<T> dz(Mode mode, std::size_t l) const {
    require_declared(Buffer::dz, l, mode);
    return state_.memory.dz(l, batch_.size);
  }
  Panels<T> dx(Mode mode) const {
    require_declared(Buffer::dx, 0, mode);
    return state_.memory.dx(batch_.size);
  }
  /// `mode` is that of the normalized values; moments and gradients of scales and shifts may be written.
  BatchNormMemory<T> batch_norm(Mode mode, std::size_t l) const {
    require_declared(Buffer::normalized, l, mode);
    require_declared(Buffer::batch_moments, l, Mode::writes);
    return state_.memory.batch_norm(l, batch_.size);
  }
  /// The same without the normalized values.
  BatchNormMemory<T> batch_moments(Mode mode, std::size_t l) const {
    require_declared(Buffer::batch_moments, l, mode);
    BatchNormMemory<T> moments = state_.memory.batch_norm(l, batch_.size);
    moments.normalized.data = nullptr;
    return moments;
  }
  const DenseLayer<T>& layer(Mode mode, std::size_t l) const {
    require_declared(Buffer::parameters, l, mode);
    return state_.mlp.layer(l);
  }
  /// Layer l where only its shape, its activation function and the addresses of its parameters are used.
  const DenseLayer<T>& layer_shape(std::size_t l) const { return state_.mlp.layer(l); }
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
  T* averages(Mode mode, std::size_t l) const {
    require_declared(Buffer::averages, l, mode);
    return state_.memory.averages();
  }
  /// The sink for the gradients of layer l, which updates its parameters or keeps its gradients.
  GradientSink<T> sink(std::size_t l, const UpdateSettings<T>& settings) const {
    GradientSink<T> sink = state_.sink;
    require_declared(sink.gradients == nullptr ? Buffer::parameters : Buffer::gradients, l, Mode::writes);
    sink.settings = settings;
    return sink;
  }
  /// The sink with the kept gradients of layer l and its optimizer's state.
  GradientSink<T> kept_gradients(Mode mode, std::size_t l, const UpdateSettings<T>& settings) const {
    require_declared(Buffer::gradients, l, mode);
    GradientSink<T> sink = state_.sink;
    sink.settings = settings;
    return sink;
  }

  // Private to the thread.
  T* transposed() const { return state_.memory.transposed(worker_); }
  T* scratch() const { return state_.memory.scratch(worker_.index); }
  T* loss_scratch() const { return state_.memory.loss_scratch(worker_.index); }

  void require_declared([[maybe_unused]] Buffer buffer, [[maybe_unused]] std::size_t part,
                        [[maybe_unused]] Mode mode) const {
#ifdef FASTMLP_CHECKS
    if (!pass_.declares(buffer, part, mode)) __builtin_trap();
#endif
  }

 private:
  RunState<T>& state_;
  const Pass& pass_;
  const Batch<T>& batch_;
  const Worker& worker_;
};

}  // namespace fastmlp

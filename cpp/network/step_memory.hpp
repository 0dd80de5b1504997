// Access of a pass to the buffers that the threads share: by buffer, part and mode, as the pass declares.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/team.hpp"
#include "network/input.hpp"
#include "network/step.hpp"
#include "network/trainer.hpp"

namespace fastmlp {

/// A mini-batch, or a shard of one, as one thread sees it.
template <typename T>
struct Batch {
  std::int64_t index = 0;     // in the epoch
  std::int64_t first = 0;     // its first sample, in the order of the epoch or of a member
  std::int64_t size = 0;      // samples of all threads
  std::int64_t whole = 0;     // samples of all shards
  std::int64_t before = 0;    // samples of the shards before
  std::int64_t inputs = 0;    // rows of the unscaled input
  std::int64_t rows = 0;      // size times the members of the network
  double weight = 0;          // total weight of the samples of all shards
  std::uint32_t step = 0;     // of the run; numbers the random masks
  double dropout_factor = 1;  // of the rates of dropout
  InputColumns columns{};     // of the input
  const std::vector<std::int32_t>* zero_columns = nullptr;  // columns left out of the input; null: none is

  RowPlaces places() const { return {size, whole, before}; }
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
  Range rows() const { return pass_.share == Share::rows ? own_rows(batch_.rows) : Range{0, batch_.rows}; }
  /// The rows of the unscaled input that this thread computes.
  Range input_rows() const { return pass_.share == Share::rows ? own_rows(batch_.inputs) : Range{0, batch_.inputs}; }
  /// The panels, of `count`, that this thread computes: its own, or all in a pass shared by rows.
  Range panels(std::int64_t count) const { return pass_.share == Share::outputs ? own_panels(count) : Range{0, count}; }
  Range own_panels(std::int64_t count) const { return worker_.share(count); }

  /// What layer l reads: activation l, of the input the columns that are not left out.
  LayerInput<T> layer_input(Mode mode, std::size_t l) const {
    require_declared(Buffer::activations, l, mode);
    if (l > 0) return {state_.memory.activation(l - 1, batch_.rows)};
    const std::vector<std::int32_t>* nonzero = batch_.columns.nonzero;
    const std::int64_t columns =
        nonzero == nullptr ? state_.mlp.spec().inputs_of(0) : static_cast<std::int64_t>(nonzero->size());
    return {state_.memory.input(input_copy(), batch_.rows, columns), nonzero == nullptr ? nullptr : nonzero->data()};
  }
  /// What layer l writes: activation l + 1, before it is scaled.
  LayerOutput<T> layer_output(Mode mode, std::size_t l) const {
    require_declared(Buffer::activations, l + 1, mode);
    return state_.memory.output(l, batch_.rows);
  }
  /// Activation l + 1.
  Panels<T> activation(Mode mode, std::size_t l) const {
    require_declared(Buffer::activations, l + 1, mode);
    return state_.memory.activation(l, batch_.rows);
  }
  SampleColumns<T> sample_columns(Mode mode) const {
    require_declared(Buffer::sample_columns, 0, mode);
    return state_.memory.sample_columns();
  }
  Panels<T> unscaled_input(Mode mode) const {
    require_declared(Buffer::unscaled_input, 0, mode);
    return state_.memory.unscaled_input(batch_.inputs);
  }
  const std::vector<EmbeddedColumns<T>>& input_groups(Mode mode) const {
    require_declared(Buffer::parameters, inputs_part(layer_count()), mode);
    return state_.mlp.input_groups();
  }
  /// Layer l, whose input scales are used.
  const DenseLayer<T>& scaling_layer(Mode mode, std::size_t l) const {
    require_declared(Buffer::parameters, input_scales_part(layer_count(), l), mode);
    return state_.mlp.layer(l);
  }
  T* dinput_scales(Mode mode, std::size_t l) const {
    require_declared(Buffer::dinput_scales, l, mode);
    return state_.memory.dinput_scales(l);
  }
  /// What products of layer l read: operands whose mode is given belong to what the pass declares.
  RoundedLayer rounded(std::optional<Mode> input, std::optional<Mode> weights, std::optional<Mode> dz,
                       std::size_t l) const {
    RoundedLayer layer{state_.mlp.bfloat16_kernels()};
    if (layer.kernels == nullptr) return layer;
    if (input) layer.input = rounded_activation(*input, l);
    if (weights) {
      require_declared(Buffer::parameters, l, *weights);
      layer.weights = state_.memory.rounded_weights(l);
    }
    if (dz) {
      require_declared(Buffer::dz, l, *dz);
      layer.gradient = state_.memory.rounded_dz(l, batch_.rows);
    }
    return layer;
  }
  RoundedMatrix rounded_activation(Mode mode, std::size_t a) const {
    require_declared(Buffer::activations, a, mode);
    return state_.memory.rounded_activation(input_copy(), a, batch_.rows);
  }
  Panels<T> dz(Mode mode, std::size_t l) const {
    require_declared(Buffer::dz, l, mode);
    return state_.memory.dz(l, batch_.rows);
  }
  /// The gradient of layer l in Buffer::dz, dsum or dshifted.
  Panels<T> gradient(Mode mode, Buffer buffer, std::size_t l) const {
    require_declared(buffer, l, mode);
    return state_.memory.gradient(buffer, l, batch_.rows);
  }
  Panels<T> skips(Mode mode, std::size_t l) const {
    require_declared(Buffer::skips, l, mode);
    return state_.memory.skips(l, batch_.rows);
  }
  LayerNormMemory<T> layer_norm(Mode mode, std::size_t l) const {
    require_declared(Buffer::normalized, l, mode);
    require_declared(Buffer::row_moments, l, mode);
    return state_.memory.layer_norm(l, batch_.rows);
  }
  /// Values before scales and shifts.
  Panels<T> normalized(Mode mode, std::size_t l) const {
    require_declared(Buffer::normalized, l, mode);
    return state_.memory.normalized(l, batch_.rows);
  }
  Panels<T> dx(Mode mode) const {
    require_declared(Buffer::dx, 0, mode);
    return state_.memory.dx(batch_.rows);
  }
  /// `mode` is that of the normalized values; moments and gradients of scales and shifts may be written.
  BatchNormMemory<T> batch_norm(Mode mode, std::size_t l) const {
    require_declared(Buffer::normalized, l, mode);
    require_declared(Buffer::batch_moments, l, Mode::writes);
    return state_.memory.batch_norm(l, batch_.rows);
  }
  /// The same without the normalized values.
  BatchNormMemory<T> batch_moments(Mode mode, std::size_t l) const {
    require_declared(Buffer::batch_moments, l, mode);
    BatchNormMemory<T> moments = state_.memory.batch_norm(l, batch_.rows);
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
  T* averages(Mode mode, std::size_t part) const {
    require_declared(Buffer::averages, part, mode);
    return state_.memory.averages();
  }
  /// The sink for the gradients of a part of the parameters, which updates them or keeps their gradients.
  GradientSink<T> sink(std::size_t part, const KindSettings<T>& settings) const {
    GradientSink<T> sink = state_.sink;
    require_declared(sink.gradients == nullptr ? Buffer::parameters : Buffer::gradients, part, Mode::writes);
    sink.gradients = own_level(sink.gradients);
    sink.settings = &settings;
    return sink;
  }
  /// The sink with the kept gradients of a part and its optimizer's state.
  GradientSink<T> kept_gradients(Mode mode, std::size_t part, const KindSettings<T>& settings) const {
    require_declared(Buffer::gradients, part, mode);
    GradientSink<T> sink = state_.sink;
    sink.gradients = own_level(sink.gradients);
    sink.settings = &settings;
    return sink;
  }
  std::size_t layer_count() const { return state_.mlp.layers().size(); }

  // Private to the thread.
  T* transposed() const { return state_.memory.transposed(worker_); }
  T* scratch() const { return state_.memory.scratch(worker_.index); }
  T* loss_scratch() const { return state_.memory.loss_scratch(worker_.index); }
  T* input_scratch() const { return state_.memory.input_scratch(worker_.index); }

  void require_declared([[maybe_unused]] Buffer buffer, [[maybe_unused]] std::size_t part,
                        [[maybe_unused]] Mode mode) const {
#ifdef FASTMLP_CHECKS
    if (!pass_.declares(buffer, part, mode)) __builtin_trap();
#endif
  }

 private:
  int input_copy() const { return state_.plan().own_input ? worker_.index : 0; }
  /// Of rows that are rounded in pairs each thread takes whole pairs.
  Range own_rows(std::int64_t rows) const {
    const std::int64_t unit = state_.mlp.spec().row_unit();
    const Range units = worker_.share(ceil_div(rows, unit));
    return {std::min(units.begin * unit, rows), std::min(units.end * unit, rows)};
  }
  /// The gradients of the pass's shard.
  T* own_level(T* gradients) const {
    if (pass_.shard.level == 0) return gradients;
    return gradients + static_cast<std::int64_t>(pass_.shard.level) * state_.mlp.parameter_elements();
  }

  RunState<T>& state_;
  const Pass& pass_;
  const Batch<T>& batch_;
  const Worker& worker_;
};

}  // namespace fastmlp

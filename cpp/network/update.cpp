#include "network/update.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastmlp {
namespace {

/// Times that a member reaches for a share of the update.
constexpr std::int64_t kHands = 32;

/// The arrays of panel p of a layer that are updated: its weights, its bias and, where it has them, its scales.
template <typename T, typename Work>
void for_arrays(const DenseLayer<T>& layer, std::int64_t p, Work work) {
  const std::int64_t panel = layer.weights.panel;
  work(layer.weights.at(p), layer.weights.stride(), true);
  work(layer.bias + p * panel, panel, false);
  if (layer.normalises()) work(layer.scales + p * panel, panel, false);
}

}  // namespace

template <typename T>
Update<T>::Update(RunState<T>& state, const EpochRequest<T>& request)
    : state_(state), request_(request), kernels_(state.mlp.kernels()) {}

template <typename T>
void Update<T>::run(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  own_layers(memory, settings);
  shared_blocks(memory, settings);
  if (memory.batch().idle != nullptr && trains(1)) idle_rows(memory, settings);
}

/// Layers split by outputs stay with the owners of their panels.
template <typename T>
void Update<T>::own_layers(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    if (!by_outputs(l) || !trains(l)) continue;
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const Range own = memory.own_panels(layer.weights.count());
    if (own.size() == 0) continue;
    const LayerInput<T> from = memory.layer_input(Mode::reads, l - 1);
    const DenseLayer<T> slice = output_slice(layer, own);
    const GradientSink<T> sink = memory.sink(l, settings);
    dense_backward_weights(kernels_, slice, from, memory.gradient(Mode::reads, l).slice(own),
                           {0, weight_blocks(from, slice.weights)}, state_.plan.panel_group, sink, memory.scratch());
    if (slice.normalises()) normalisation(l, memory, sink);
  }
}

/// Scales and biases of a normalised layer, whose gradients the backward pass has left.
template <typename T>
void Update<T>::normalisation(std::int64_t l, const StepMemory<T>& memory, const GradientSink<T>& sink) {
  const DenseLayer<T>& layer = memory.layer_shape(l);
  const BatchNormMemory<T> moments = memory.batch_moments(Mode::reads, l);
  const Range own = memory.own_panels(layer.weights.count());
  const std::int64_t first = own.begin * layer.weights.panel;
  const std::int64_t count = own.size() * layer.weights.panel;
  const UpdateSettings<T> settings = without_penalties(sink.settings);
  deliver(kernels_, sink, settings, count, layer.scales + first, moments.d_scales + first);
  deliver(kernels_, sink, settings, count, layer.bias + first, moments.d_bias + first);
}

/// The blocks of the other layers, which differ in size, go to whoever is free.
template <typename T>
void Update<T>::shared_blocks(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  std::int64_t shared = 0;
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    if (by_outputs(l) || !trains(l)) continue;
    shared += weight_blocks(memory.layer_input(Mode::reads, l - 1), memory.layer_shape(l).weights);
  }
  memory.require_declared(Buffer::hand_out, 0, Mode::reads);
  const std::int64_t hand = std::max<std::int64_t>(1, shared / (memory.member().count * kHands));
  const auto reach = [&] { return next_block_.fetch_add(hand, std::memory_order_relaxed); };
  for (std::int64_t b = reach(); b < shared; b = reach()) {
    blocks(memory, {b, std::min(b + hand, shared)}, settings);
  }
}

/// Updates some of those blocks, counted through all of them.
template <typename T>
void Update<T>::blocks(const StepMemory<T>& memory, Range wanted, const UpdateSettings<T>& settings) {
  std::int64_t before = 0;
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    if (by_outputs(l) || !trains(l)) continue;
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const LayerInput<T> from = memory.layer_input(Mode::reads, l - 1);
    const std::int64_t count = weight_blocks(from, layer.weights);
    const Range own{std::clamp<std::int64_t>(wanted.begin - before, 0, count),
                    std::clamp<std::int64_t>(wanted.end - before, 0, count)};
    before += count;
    if (own.size() == 0) continue;
    dense_backward_weights(kernels_, layer, from, memory.gradient(Mode::reads, l), own, state_.plan.panel_group,
                           memory.sink(l, settings), memory.scratch());
  }
}

/// Rows of the first layer's weights whose input is zero: in the owners' panels, or shared out.
template <typename T>
void Update<T>::idle_rows(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  const Panels<T>& weights = memory.layer_shape(1).weights;
  const auto idle = static_cast<std::int64_t>(memory.batch().idle->size());
  const Range own = by_outputs(1) ? memory.own_panels(weights.count()) : Range{0, weights.count()};
  const Range rows = by_outputs(1) ? Range{0, idle} : even_share(idle, memory.member().index, memory.member().count);
  if (own.size() == 0) return;
  dense_update_idle(kernels_, weights.slice(own), memory.batch().idle->data(), rows, memory.sink(1, settings),
                    memory.scratch());
}

template <typename T>
template <typename Work>
void Update<T>::for_units(int index, int count, Work work) const {
  std::int64_t unit = 0;
  std::int64_t column = 0;
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    const Panels<T>& weights = state_.mlp.layer(l - 1).weights;
    for (std::int64_t p = 0; p < weights.count(); ++p, ++unit) {
      if (trains(l) && unit % count == index) work(l, p, column);
      column += weights.width(p);
    }
  }
}

/// Squares of the kept gradients, by columns: which of them share a panel depends on the instruction set.
template <typename T>
void Update<T>::measure_norms(const StepMemory<T>& memory) {
  double* sums = memory.column_sums(Mode::writes);
  for_units(memory.member().index, memory.member().count, [&](std::int64_t l, std::int64_t p, std::int64_t column) {
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const GradientSink<T> kept = memory.kept(Mode::reads, l, {});
    const std::int64_t width = layer.weights.width(p);
    std::fill_n(sums + column, width, 0.0);
    for_arrays(layer, p, [&](T* parameters, std::int64_t count, bool) {
      T squares[kWidestPanel];
      kernels_.column_squares(count / layer.weights.panel, vectors_for(kernels_, width),
                              parallel_element(kept, kept.gradients, parameters), squares);
      for (std::int64_t j = 0; j < width; ++j) sums[column + j] += static_cast<double>(squares[j]);
    });
  });
}

/// R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013: gradients
/// whose norm exceeds a bound shrink to it.
template <typename T>
void Update<T>::clip(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  const StepSettings& wanted = request_.settings;
  T factor = 1;
  if (wanted.clip_norm > 0) {
    const double* sums = memory.column_sums(Mode::reads);
    double total = 0;
    for_units(0, 1, [&](std::int64_t l, std::int64_t p, std::int64_t column) {
      for (std::int64_t j = 0; j < memory.layer_shape(l).weights.width(p); ++j) total += sums[column + j];
    });
    const double norm = std::sqrt(total);
    if (norm > wanted.clip_norm) factor = static_cast<T>(wanted.clip_norm / norm);
  }
  const auto bound = wanted.clip_value > 0 ? static_cast<T>(wanted.clip_value) : std::numeric_limits<T>::infinity();
  for_units(memory.member().index, memory.member().count, [&](std::int64_t l, std::int64_t p, std::int64_t) {
    const GradientSink<T> kept = memory.kept(Mode::writes, l, settings);
    for_arrays(memory.layer(Mode::writes, l), p, [&](T* parameters, std::int64_t count, bool penalised) {
      kernels_.clip(count, factor, bound, parallel_element(kept, kept.gradients, parameters));
      update_from_kept(kernels_, kept, penalised ? settings : without_penalties(settings), count, parameters);
    });
  });
}

template <typename T>
void Update<T>::follow_up(const StepMemory<T>& memory) {
  const auto bound = static_cast<T>(request_.settings.max_norm);
  const auto decay = static_cast<T>(request_.settings.average_decay);
  for_units(memory.member().index, memory.member().count, [&](std::int64_t l, std::int64_t p, std::int64_t) {
    const DenseLayer<T>& layer = memory.layer(Mode::writes, l);
    if (request_.settings.bounds_norms()) {
      kernels_.limit_norms(layer.weights.rows, vectors_for(kernels_, layer.weights.width(p)), bound,
                           layer.weights.at(p));
    }
    if (!request_.settings.moves_averages()) return;
    T* averages = memory.averages(Mode::writes, l);
    const auto move = [&](T* parameters, std::int64_t count, bool) {
      kernels_.move_averages(count, decay, parameters, parallel_element(state_.sink, averages, parameters));
    };
    for_arrays(layer, p, move);
    if (!layer.normalises()) return;
    move(layer.means + p * layer.weights.panel, layer.weights.panel, false);
    move(layer.variances + p * layer.weights.panel, layer.weights.panel, false);
  });
}

template class Update<float>;
template class Update<double>;

}  // namespace fastmlp

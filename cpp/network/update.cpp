#include "network/update.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastmlp {
namespace {

/// Chunks that a thread takes in an update on average.
constexpr std::int64_t kChunksPerThread = 32;

/// work(parameters, count, penalized) for the arrays of panel p of a layer: weights, bias and, where they exist,
/// scales.
template <typename T, typename Work>
void for_arrays(const DenseLayer<T>& layer, std::int64_t p, Work work) {
  const std::int64_t panel = layer.weights.panel;
  work(layer.weights.at(p), layer.weights.stride(), true);
  work(layer.bias + p * panel, panel, false);
  if (layer.normalizes()) work(layer.scales + p * panel, panel, false);
}

}  // namespace

template <typename T>
Update<T>::Update(RunState<T>& state, const EpochRequest<T>& request)
    : state_(state), request_(request), kernels_(state.mlp.kernels()), layers_(state.mlp.spec().layers.size()) {}

template <typename T>
void Update<T>::run(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  update_own_panels(memory, settings);
  update_chunks(memory, settings);
  if (memory.batch().zero_columns != nullptr && trains(0)) update_zero_columns(memory, settings);
}

/// In layers split by outputs each thread updates the panels that it has computed.
template <typename T>
void Update<T>::update_own_panels(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  for (std::size_t l = 0; l < layers_; ++l) {
    if (!by_outputs(l) || !trains(l)) continue;
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const Range own = memory.own_panels(layer.weights.count());
    if (own.size() == 0) continue;
    const LayerInput<T> input = memory.layer_input(Mode::reads, l);
    const DenseLayer<T> slice = output_slice(layer, own);
    const GradientSink<T> sink = memory.sink(l, settings);
    dense_backward_weights(kernels_, slice, input, memory.dz(Mode::reads, l).slice(own),
                           {0, weight_blocks(input, slice.weights)}, state_.plan.panel_group, sink, memory.scratch());
    if (slice.normalizes()) update_batch_norm(l, memory, sink);
  }
}

/// Scales and biases of a layer with batch normalization, whose gradients the backward pass has computed.
template <typename T>
void Update<T>::update_batch_norm(std::size_t l, const StepMemory<T>& memory, const GradientSink<T>& sink) {
  const DenseLayer<T>& layer = memory.layer_shape(l);
  const BatchNormMemory<T> moments = memory.batch_moments(Mode::reads, l);
  const Range own = memory.own_panels(layer.weights.count());
  const std::int64_t first = own.begin * layer.weights.panel;
  const std::int64_t count = own.size() * layer.weights.panel;
  const UpdateSettings<T> settings = without_penalties(sink.settings);
  deliver(kernels_, sink, settings, count, layer.scales + first, moments.dscales + first);
  deliver(kernels_, sink, settings, count, layer.bias + first, moments.dbias + first);
}

/// The blocks of the other layers differ in size, so threads take chunks of them until none is left.
template <typename T>
void Update<T>::update_chunks(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  std::int64_t blocks = 0;
  for (std::size_t l = 0; l < layers_; ++l) {
    if (by_outputs(l) || !trains(l)) continue;
    blocks += weight_blocks(memory.layer_input(Mode::reads, l), memory.layer_shape(l).weights);
  }
  memory.require_declared(Buffer::next_chunk, 0, Mode::reads);
  const std::int64_t chunk = std::max<std::int64_t>(1, blocks / (memory.worker().count * kChunksPerThread));
  const auto take = [&] { return next_block_.fetch_add(chunk, std::memory_order_relaxed); };
  for (std::int64_t first = take(); first < blocks; first = take()) {
    update_blocks(memory, {first, std::min(first + chunk, blocks)}, settings);
  }
}

/// The given blocks, numbered consecutively through all layers that are split by rows.
template <typename T>
void Update<T>::update_blocks(const StepMemory<T>& memory, Range blocks, const UpdateSettings<T>& settings) {
  std::int64_t before = 0;
  for (std::size_t l = 0; l < layers_; ++l) {
    if (by_outputs(l) || !trains(l)) continue;
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const LayerInput<T> input = memory.layer_input(Mode::reads, l);
    const std::int64_t count = weight_blocks(input, layer.weights);
    const Range own{std::clamp<std::int64_t>(blocks.begin - before, 0, count),
                    std::clamp<std::int64_t>(blocks.end - before, 0, count)};
    before += count;
    if (own.size() == 0) continue;
    dense_backward_weights(kernels_, layer, input, memory.dz(Mode::reads, l), own, state_.plan.panel_group,
                           memory.sink(l, settings), memory.scratch());
  }
}

/// Rows of the first layer's weights whose input is zero: each thread updates them in its panels, or its share of them.
template <typename T>
void Update<T>::update_zero_columns(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  const Panels<T>& weights = memory.layer_shape(0).weights;
  const std::vector<std::int32_t>& zero_columns = *memory.batch().zero_columns;
  const auto count = static_cast<std::int64_t>(zero_columns.size());
  const Range own = by_outputs(0) ? memory.own_panels(weights.count()) : Range{0, weights.count()};
  const Range rows = by_outputs(0) ? Range{0, count} : memory.worker().share(count);
  if (own.size() == 0) return;
  dense_update_zero_rows(kernels_, weights.slice(own), zero_columns.data(), rows, memory.sink(0, settings),
                         memory.scratch());
}

template <typename T>
template <typename Work>
void Update<T>::for_panels(int index, int count, Work work) const {
  std::int64_t number = 0;
  std::int64_t column = 0;
  for (std::size_t l = 0; l < layers_; ++l) {
    const Panels<T>& weights = state_.mlp.layer(l).weights;
    for (std::int64_t p = 0; p < weights.count(); ++p, ++number) {
      if (trains(l) && number % count == index) work(l, p, column);
      column += weights.width(p);
    }
  }
}

/// Sums the squares of the kept gradients by columns, because panels differ between instruction sets.
template <typename T>
void Update<T>::measure_norms(const StepMemory<T>& memory) {
  double* sums = memory.column_sums(Mode::writes);
  for_panels(memory.worker().index, memory.worker().count, [&](std::size_t l, std::int64_t p, std::int64_t column) {
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const GradientSink<T> kept = memory.kept_gradients(Mode::reads, l, {});
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

/// Scales gradients whose norm exceeds a bound to that norm, bounds their elements, and updates the parameters:
/// R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
template <typename T>
void Update<T>::clip(const StepMemory<T>& memory, const UpdateSettings<T>& settings) {
  const StepSettings& wanted = request_.settings;
  T factor = 1;
  if (wanted.clip_norm > 0) {
    const double* sums = memory.column_sums(Mode::reads);
    double total = 0;
    for_panels(0, 1, [&](std::size_t l, std::int64_t p, std::int64_t column) {
      for (std::int64_t j = 0; j < memory.layer_shape(l).weights.width(p); ++j) total += sums[column + j];
    });
    const double norm = std::sqrt(total);
    if (norm > wanted.clip_norm) factor = static_cast<T>(wanted.clip_norm / norm);
  }
  const auto bound = wanted.clip_value > 0 ? static_cast<T>(wanted.clip_value) : std::numeric_limits<T>::infinity();
  for_panels(memory.worker().index, memory.worker().count, [&](std::size_t l, std::int64_t p, std::int64_t) {
    const GradientSink<T> kept = memory.kept_gradients(Mode::writes, l, settings);
    for_arrays(memory.layer(Mode::writes, l), p, [&](T* parameters, std::int64_t count, bool penalized) {
      kernels_.clip(count, factor, bound, parallel_element(kept, kept.gradients, parameters));
      update_from_kept(kernels_, kept, penalized ? settings : without_penalties(settings), count, parameters);
    });
  });
}

template <typename T>
void Update<T>::after_update(const StepMemory<T>& memory) {
  const auto bound = static_cast<T>(request_.settings.max_norm);
  const auto decay = static_cast<T>(request_.settings.average_decay);
  for_panels(memory.worker().index, memory.worker().count, [&](std::size_t l, std::int64_t p, std::int64_t) {
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
    if (!layer.normalizes()) return;
    move(layer.means + p * layer.weights.panel, layer.weights.panel, false);
    move(layer.variances + p * layer.weights.panel, layer.weights.panel, false);
  });
}

template class Update<float>;
template class Update<double>;

}  // namespace fastmlp

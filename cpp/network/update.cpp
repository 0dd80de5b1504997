#include "network/update.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastmlp {
namespace {

/// Chunks that a thread takes in an update on average.
constexpr std::int64_t kChunksPerThread = 32;

}  // namespace

template <typename T>
Update<T>::Update(RunState<T>& state, const EpochRequest<T>& request)
    : state_(state), request_(request), kernels_(state.mlp.kernels()), layers_(state.mlp.spec().layers.size()) {}

template <typename T>
void Update<T>::run(const StepMemory<T>& memory, const StepUpdate<T>& settings) {
  if (memory.batch().rows == 0) return clear_gradients(memory);
  update_own_panels(memory, settings);
  update_chunks(memory, settings);
  if (memory.batch().zero_columns != nullptr && trains(0)) update_zero_columns(memory, settings);
}

template <typename T>
LayerGradient<T> Update<T>::gradient(const StepMemory<T>& memory, std::size_t l) const {
  const DenseLayer<T>& layer = memory.layer_shape(l);
  LayerGradient<T> gradient{memory.dz(Mode::reads, l)};
  if (layer.mixes != nullptr) gradient.dmixes = memory.layer_output(Mode::reads, l).residues;
  if (layer.normalizes_rows()) {
    gradient.dshifted = memory.gradient(Mode::reads, Buffer::dshifted, l);
    gradient.normalized = memory.normalized(Mode::reads, l);
  }
  return gradient;
}

/// Operands of the product for the gradients of weights, and the rounded weights if it updates them.
template <typename T>
RoundedLayer Update<T>::rounded_operands(const StepMemory<T>& memory, std::size_t l) const {
  const bool updates = state_.sink.gradients == nullptr;
  return memory.rounded(Mode::reads, updates ? std::optional(Mode::writes) : std::nullopt, Mode::reads, l);
}

/// In layers split by outputs each thread updates the panels that it has computed; of the scales of inputs those whose
/// gradients it has computed.
template <typename T>
void Update<T>::update_own_panels(const StepMemory<T>& memory, const StepUpdate<T>& settings) {
  for (std::size_t l = 0; l < layers_; ++l) {
    if (!trains(l)) continue;
    if (memory.layer_shape(l).input_scales != nullptr) update_input_scales(l, memory, settings);
    if (!by_outputs(l)) continue;
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const Range own = memory.own_panels(layer.weights.count());
    if (own.size() == 0) continue;
    const LayerInput<T> input = memory.layer_input(Mode::reads, l);
    const DenseLayer<T> slice = output_slice(layer, own);
    const GradientSink<T> sink = memory.sink(l, settings.of_layer(l));
    RoundedLayer rounded = rounded_operands(memory, l);
    rounded.weights = rounded.weights.slice(own);
    rounded.gradient = rounded.gradient.slice(own);
    dense_backward_weights(kernels_, slice, input, gradient(memory, l).slice(own), {0, weight_blocks(input, slice)},
                           state_.plan().panel_group, sink, memory.scratch(), rounded);
    if (slice.scales_outputs()) update_scales(l, memory, sink);
  }
}

/// Scales and biases of a layer with output scales, whose gradients the backward pass has computed.
template <typename T>
void Update<T>::update_scales(std::size_t l, const StepMemory<T>& memory, const GradientSink<T>& sink) {
  const DenseLayer<T>& layer = memory.layer_shape(l);
  const BatchNormMemory<T> moments = memory.batch_moments(Mode::reads, l);
  const Range own = memory.own_panels(layer.weights.count());
  const std::int64_t count = own.size() * layer.weights.panel;
  for (std::int64_t member = 0; member < layer.vector_copies(); ++member) {
    const std::int64_t first = member * layer.output_stride + own.begin * layer.weights.panel;
    deliver(kernels_, sink, ParameterKind::scales, count, layer.scales + first, moments.dscales + first);
    deliver(kernels_, sink, ParameterKind::biases, count, layer.bias + first, moments.dbias + first);
  }
}

template <typename T>
void Update<T>::update_input_scales(std::size_t l, const StepMemory<T>& memory, const StepUpdate<T>& settings) {
  const DenseLayer<T>& layer = memory.layer_shape(l);
  const std::int64_t panel = layer.weights.panel;
  const Range own = memory.own_panels(ceil_div(layer.weights.rows, panel));
  const GradientSink<T> sink = memory.sink(input_scales_part(layers_, l), settings.of_layer(l));
  const T* gradients = memory.dinput_scales(Mode::reads, l);
  for (std::int64_t member = 0; member < layer.members && own.size() > 0; ++member) {
    const std::int64_t first = member * layer.input_stride + own.begin * panel;
    deliver(kernels_, sink, ParameterKind::input_scales, own.size() * panel, layer.input_scales + first,
            gradients + first);
  }
}

template <typename T>
std::int64_t Update<T>::embedded_columns() const {
  std::int64_t columns = 0;
  for (const InputGroup& group : state_.mlp.spec().inputs) {
    if (group.is_trained() && trains(0)) columns += group.columns;
  }
  return columns;
}

/// The blocks of the other layers and the columns of the samples differ in size, so threads take chunks of them until
/// none is left.
template <typename T>
void Update<T>::update_chunks(const StepMemory<T>& memory, const StepUpdate<T>& settings) {
  const std::int64_t columns = embedded_columns();
  std::int64_t blocks = columns;
  for (std::size_t l = 0; l < layers_; ++l) {
    if (by_outputs(l) || !trains(l)) continue;
    blocks += weight_blocks(memory.layer_input(Mode::reads, l), memory.layer_shape(l));
  }
  memory.require_declared(Buffer::next_chunk, 0, Mode::reads);
  const int threads = memory.worker().count;
  const std::int64_t chunk = threads == 1 ? blocks : std::max<std::int64_t>(1, blocks / (threads * kChunksPerThread));
  const auto take = [&] { return next_block_.fetch_add(chunk, std::memory_order_relaxed) - first_block_; };
  for (std::int64_t first = take(); first < blocks; first = take()) {
    const Range taken{first, std::min(first + chunk, blocks)};
    if (taken.begin < columns) update_embeddings(memory, {taken.begin, std::min(taken.end, columns)}, settings);
    update_blocks(memory, {taken.begin - columns, taken.end - columns}, settings);
  }
}

/// The given blocks, numbered consecutively through all layers that are split by rows.
template <typename T>
void Update<T>::update_blocks(const StepMemory<T>& memory, Range blocks, const StepUpdate<T>& settings) {
  std::int64_t before = 0;
  for (std::size_t l = 0; l < layers_; ++l) {
    if (by_outputs(l) || !trains(l)) continue;
    const DenseLayer<T>& layer = memory.layer_shape(l);
    const LayerInput<T> input = memory.layer_input(Mode::reads, l);
    const std::int64_t count = weight_blocks(input, layer);
    const Range own{std::clamp<std::int64_t>(blocks.begin - before, 0, count),
                    std::clamp<std::int64_t>(blocks.end - before, 0, count)};
    before += count;
    if (own.size() == 0) continue;
    dense_backward_weights(kernels_, layer, input, gradient(memory, l), own, state_.plan().panel_group,
                           memory.sink(l, settings.of_layer(l)), memory.scratch(), rounded_operands(memory, l));
  }
}

/// The given columns, numbered consecutively through the groups with embeddings.
template <typename T>
void Update<T>::update_embeddings(const StepMemory<T>& memory, Range columns, const StepUpdate<T>& settings) {
  const std::vector<EmbeddedColumns<T>>& groups = state_.mlp.input_groups();
  std::int64_t before = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (!groups[g].group.is_trained()) continue;
    const std::int64_t count = groups[g].group.columns;
    const GradientSink<T> sink = memory.sink(inputs_part(layers_), settings.of_inputs(g));
    for (std::int64_t j = std::max<std::int64_t>(columns.begin - before, 0); j < std::min(columns.end - before, count);
         ++j) {
      embed_backward(kernels_, groups[g], j, memory.sample_columns(Mode::reads), memory.dx(Mode::reads),
                     memory.batch().inputs, sink, memory.input_scratch());
    }
    before += count;
  }
}

/// Rows of the first layer's weights whose input is zero: each thread updates them in its panels, or its share of them.
template <typename T>
void Update<T>::update_zero_columns(const StepMemory<T>& memory, const StepUpdate<T>& settings) {
  const Panels<T>& weights = memory.layer_shape(0).weights;
  const std::vector<std::int32_t>& zero_columns = *memory.batch().zero_columns;
  const auto count = static_cast<std::int64_t>(zero_columns.size());
  const Range own = by_outputs(0) ? memory.own_panels(weights.count()) : Range{0, weights.count()};
  const Range rows = by_outputs(0) ? Range{0, count} : memory.worker().share(count);
  if (own.size() == 0) return;
  dense_update_zero_rows(kernels_, weights.slice(own), zero_columns.data(), rows, memory.sink(0, settings.of_layer(0)),
                         memory.scratch());
}

/// Rounds a panel of an array that products read rounded.
template <typename T>
void Update<T>::round_panel(const ParameterArray<T>& array, std::int64_t p) {
  const Bfloat16Kernels* kernels = state_.mlp.bfloat16_kernels();
  if (kernels == nullptr || array.kind != ParameterKind::weights) return;
  round_rows(*kernels, array.first, state_.memory.rounded_weights(array.index), {0, array.first.rows}, {p, p + 1});
}

/// This thread's share of the panels of all weights, before the first step.
template <typename T>
void Update<T>::round_weights(const Worker& worker) {
  std::int64_t number = 0;
  for (const ParameterArray<T>& array : state_.mlp.arrays()) {
    for (std::int64_t p = 0; p < array.first.count(); ++p) {
      if (number++ % worker.count == worker.index) round_panel(array, p);
    }
  }
}

template <typename T>
std::size_t Update<T>::part_of(const ParameterArray<T>& array) const {
  if (is_of_inputs(array.kind)) return inputs_part(layers_);
  return array.kind == ParameterKind::input_scales ? input_scales_part(layers_, array.index) : array.index;
}

template <typename T>
const KindSettings<T>& Update<T>::settings_of(const ParameterArray<T>& array, const StepUpdate<T>& settings) const {
  return is_of_inputs(array.kind) ? settings.of_inputs(array.index) : settings.of_layer(array.index);
}

template <typename T>
template <typename Work>
void Update<T>::for_panels(int index, int count, Work work) const {
  std::int64_t number = 0;
  std::int64_t column = 0;
  for (const ParameterArray<T>& array : state_.mlp.arrays()) {
    const bool trained = is_of_inputs(array.kind) ? trains(0) : trains(array.index);
    for (std::int64_t copy = 0; copy < array.copies; ++copy) {
      for (std::int64_t p = 0; p < array.first.count(); ++p, ++number) {
        if (trained && number % count == index) {
          work(array, copy * array.stride() + p * array.first.stride(), p, column);
        }
        column += array.first.width(p);
      }
    }
  }
}

/// The gradients of a shard without rows.
template <typename T>
void Update<T>::clear_gradients(const StepMemory<T>& memory) {
  for_panels(memory.worker().index, memory.worker().count,
             [&](const ParameterArray<T>& array, std::int64_t offset, std::int64_t, std::int64_t) {
               if (!array.is_trained()) return;
               const GradientSink<T> sink = memory.sink(part_of(array), {});
               std::fill_n(parallel_element(sink, sink.gradients, array.first.data + offset), array.first.stride(),
                           T{0});
             });
}

/// Adds the topmost of the stack of sums to those below it, as the tree of the shards wants it.
template <typename T>
void Update<T>::add_gradients(const StepMemory<T>& memory) {
  const std::int64_t elements = state_.mlp.parameter_elements();
  for_panels(memory.worker().index, memory.worker().count,
             [&](const ParameterArray<T>& array, std::int64_t offset, std::int64_t, std::int64_t) {
               if (!array.is_trained()) return;
               const GradientSink<T> top = memory.kept_gradients(Mode::writes, part_of(array), {});
               T* source = parallel_element(top, top.gradients, array.first.data + offset);
               for (std::size_t n = 0; n < memory.pass().shard.additions; ++n, source -= elements) {
                 kernels_.add(array.first.stride(), source, source - elements);
               }
             });
}

/// Sums the squares of the kept gradients by columns, because panels differ between instruction sets.
template <typename T>
void Update<T>::measure_norms(const StepMemory<T>& memory) {
  double* sums = memory.column_sums(Mode::writes);
  const auto measure = [&](const ParameterArray<T>& array, std::int64_t offset, std::int64_t p, std::int64_t column) {
    const GradientSink<T> kept = memory.kept_gradients(Mode::reads, part_of(array), {});
    const std::int64_t width = array.first.width(p);
    T squares[kWidestPanel];
    kernels_.column_squares(array.first.rows, vectors_for(kernels_, width),
                            parallel_element(kept, kept.gradients, array.first.data + offset), squares);
    std::copy_n(squares, width, sums + column);
  };
  for_panels(memory.worker().index, memory.worker().count, [&](const auto& array, auto... place) {
    if (array.is_trained()) measure(array, place...);
  });
}

/// Updates the parameters from the kept gradients, after it scaled these, where their norm exceeds a bound, to that
/// norm and bounded their elements: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural
/// networks", ICML 2013.
template <typename T>
void Update<T>::apply_gradients(const StepMemory<T>& memory, const StepUpdate<T>& settings) {
  const StepSettings& wanted = request_.settings;
  T factor = 1;
  if (wanted.clip_norm > 0) {
    const double* sums = memory.column_sums(Mode::reads);
    double total = 0;
    for_panels(0, 1, [&](const ParameterArray<T>& array, std::int64_t, std::int64_t p, std::int64_t column) {
      for (std::int64_t j = 0; array.is_trained() && j < array.first.width(p); ++j) total += sums[column + j];
    });
    const double norm = std::sqrt(total);
    if (norm > wanted.clip_norm) factor = static_cast<T>(wanted.clip_norm / norm);
  }
  const auto bound = wanted.clip_value > 0 ? static_cast<T>(wanted.clip_value) : std::numeric_limits<T>::infinity();
  for_panels(memory.worker().index, memory.worker().count,
             [&](const ParameterArray<T>& array, std::int64_t offset, std::int64_t p, std::int64_t) {
               if (!array.is_trained()) return;
               const std::size_t part = part_of(array);
               memory.require_declared(Buffer::parameters, part, Mode::writes);
               const GradientSink<T> kept = memory.kept_gradients(Mode::writes, part, settings_of(array, settings));
               T* parameters = array.first.data + offset;
               T* gradients = parallel_element(kept, kept.gradients, parameters);
               if (wanted.clips()) kernels_.clip(array.first.stride(), factor, bound, gradients);
               update_from_kept(kernels_, kept, array.kind, array.first.stride(), parameters);
               round_panel(array, p);
             });
}

template <typename T>
void Update<T>::after_update(const StepMemory<T>& memory) {
  const auto bound = static_cast<T>(request_.settings.max_norm);
  const auto decay = static_cast<T>(request_.settings.average_decay);
  for_panels(memory.worker().index, memory.worker().count,
             [&](const ParameterArray<T>& array, std::int64_t offset, std::int64_t p, std::int64_t) {
               const std::size_t part = part_of(array);
               memory.require_declared(Buffer::parameters, part, Mode::writes);
               T* parameters = array.first.data + offset;
               if (request_.settings.bounds_norms() && array.kind == ParameterKind::weights) {
                 kernels_.limit_norms(array.first.rows, vectors_for(kernels_, array.first.width(p)), bound, parameters);
                 round_panel(array, p);
               }
               if (!request_.settings.moves_averages()) return;
               kernels_.move_averages(array.first.stride(), decay, parameters,
                                      parallel_element(state_.sink, memory.averages(Mode::writes, part), parameters));
             });
}

template class Update<float>;
template class Update<double>;

}  // namespace fastmlp

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
LayerInput<T> layer_input(const RunState<T>& state, std::int64_t l, const Batch<T>& batch, const Member& member) {
  if (l > 0) return {state.memory.output(l, batch.size).values};
  const std::vector<std::int32_t>* live = batch.columns.live;
  const std::int64_t columns = live == nullptr ? state.mlp.spec().features() : static_cast<std::int64_t>(live->size());
  return {state.memory.input(member.index, batch.size, columns), live == nullptr ? nullptr : live->data()};
}

template <typename T>
Range own_panels(const RunState<T>& state, std::int64_t l, const Member& member) {
  return even_share(state.mlp.layer(l - 1).weights.count(), member.index, member.count);
}

template <typename T>
Update<T>::Update(RunState<T>& state, const EpochRequest<T>& request)
    : state_(state), request_(request), kernels_(state.mlp.kernels()) {}

template <typename T>
void Update<T>::run(const Batch<T>& batch, const UpdateSettings<T>& settings, const Member& member) {
  GradientSink<T> sink = state_.sink;
  sink.settings = settings;
  own_layers(batch, sink, member);
  shared_blocks(batch, sink, member);
  if (batch.idle != nullptr && trains(1)) {
    dense_update_idle(kernels_, state_.mlp.layer(0).weights, batch.idle->data(),
                      even_share(static_cast<std::int64_t>(batch.idle->size()), member.index, member.count), sink,
                      state_.memory.scratch(member.index));
  }
  if (!state_.updates) return;
  if (request_.settings.clips()) {
    member.barrier.wait();
    clipped(sink, member);
  }
  if (request_.settings.max_norm > 0 || request_.settings.average_decay > 0) {
    member.barrier.wait();
    follow_up(member);
  }
}

/// Layers split by outputs stay with the owners of their panels.
template <typename T>
void Update<T>::own_layers(const Batch<T>& batch, const GradientSink<T>& sink, const Member& member) {
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    if (state_.plan.splits[static_cast<std::size_t>(l - 1)] == Split::rows || !trains(l)) continue;
    const Range own = own_panels(state_, l, member);
    if (own.size() == 0) continue;
    const LayerInput<T> from = layer_input(state_, l - 1, batch, member);
    const DenseLayer<T> slice = output_slice(state_.mlp.layer(l - 1), own);
    dense_backward_weights(kernels_, slice, from, state_.memory.gradient(l, batch.size).slice(own),
                           {0, weight_blocks(from, slice.weights)}, state_.plan.panel_group, sink,
                           state_.memory.scratch(member.index));
    if (slice.normalises()) normalisation(l, batch, sink, member);
  }
}

/// Scales and biases of a normalised layer, whose gradients the backward pass has left.
template <typename T>
void Update<T>::normalisation(std::int64_t l, const Batch<T>& batch, const GradientSink<T>& sink,
                              const Member& member) {
  const DenseLayer<T>& layer = state_.mlp.layer(l - 1);
  const BatchNormMemory<T> memory = state_.memory.batch_norm(l, batch.size);
  const Range own = own_panels(state_, l, member);
  const std::int64_t first = own.begin * layer.weights.panel;
  const std::int64_t count = own.size() * layer.weights.panel;
  const UpdateSettings<T> settings = without_penalties(sink.settings);
  deliver(kernels_, sink, settings, count, layer.scales + first, memory.d_scales + first);
  deliver(kernels_, sink, settings, count, layer.bias + first, memory.d_bias + first);
}

/// The blocks of the other layers, which differ in size, go to whoever is free.
template <typename T>
void Update<T>::shared_blocks(const Batch<T>& batch, const GradientSink<T>& sink, const Member& member) {
  std::int64_t shared = 0;
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    if (state_.plan.splits[static_cast<std::size_t>(l - 1)] == Split::outputs || !trains(l)) continue;
    shared += weight_blocks(layer_input(state_, l - 1, batch, member), state_.mlp.layer(l - 1).weights);
  }
  const std::int64_t hand = std::max<std::int64_t>(1, shared / (member.count * kHands));
  for (std::int64_t b = next_block_.fetch_add(hand); b < shared; b = next_block_.fetch_add(hand)) {
    blocks(batch, {b, std::min(b + hand, shared)}, sink, member);
  }
}

/// Updates some of those blocks, counted through all of them.
template <typename T>
void Update<T>::blocks(const Batch<T>& batch, Range wanted, const GradientSink<T>& sink, const Member& member) {
  std::int64_t before = 0;
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    if (state_.plan.splits[static_cast<std::size_t>(l - 1)] == Split::outputs || !trains(l)) continue;
    const DenseLayer<T>& layer = state_.mlp.layer(l - 1);
    const LayerInput<T> from = layer_input(state_, l - 1, batch, member);
    const std::int64_t count = weight_blocks(from, layer.weights);
    const Range own{std::clamp<std::int64_t>(wanted.begin - before, 0, count),
                    std::clamp<std::int64_t>(wanted.end - before, 0, count)};
    before += count;
    if (own.size() == 0) continue;
    dense_backward_weights(kernels_, layer, from, state_.memory.gradient(l, batch.size), own, state_.plan.panel_group,
                           sink, state_.memory.scratch(member.index));
  }
}

template <typename T>
template <typename Work>
void Update<T>::for_own_units(const Member& member, Work work) const {
  std::int64_t unit = 0;
  std::int64_t column = 0;
  for (std::int64_t l = 1; l <= state_.mlp.spec().layer_count(); ++l) {
    const DenseLayer<T>& layer = state_.mlp.layer(l - 1);
    for (std::int64_t p = 0; p < layer.weights.count(); ++p, ++unit) {
      if (trains(l) && unit % member.count == member.index) work(layer, p, column);
      column += layer.weights.width(p);
    }
  }
}

/// R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013: gradients
/// whose norm exceeds a bound shrink to it.
template <typename T>
void Update<T>::clipped(const GradientSink<T>& sink, const Member& member) {
  const StepSettings& settings = request_.settings;
  T factor = 1;
  if (settings.clip_norm > 0) {
    // By columns: which of them share a panel depends on the instruction set.
    double* sums = state_.memory.column_sums();
    for_own_units(member, [&](const DenseLayer<T>& layer, std::int64_t p, std::int64_t first_column) {
      const std::int64_t width = layer.weights.width(p);
      std::fill_n(sums + first_column, width, 0.0);
      for_arrays(layer, p, [&](T* parameters, std::int64_t count, bool) {
        T squares[kWidestPanel];
        kernels_.column_squares(count / layer.weights.panel, vectors_for(kernels_, width),
                                parallel_element(sink, sink.gradients, parameters), squares);
        for (std::int64_t j = 0; j < width; ++j) sums[first_column + j] += static_cast<double>(squares[j]);
      });
    });
    member.barrier.wait();
    double total = 0;
    for_own_units({0, 1, member.barrier}, [&](const DenseLayer<T>& layer, std::int64_t p, std::int64_t first_column) {
      for (std::int64_t j = 0; j < layer.weights.width(p); ++j) total += sums[first_column + j];
    });
    const double norm = std::sqrt(total);
    if (norm > settings.clip_norm) factor = static_cast<T>(settings.clip_norm / norm);
  }
  const auto bound = settings.clip_value > 0 ? static_cast<T>(settings.clip_value) : std::numeric_limits<T>::infinity();
  for_own_units(member, [&](const DenseLayer<T>& layer, std::int64_t p, std::int64_t) {
    for_arrays(layer, p, [&](T* parameters, std::int64_t count, bool penalised) {
      kernels_.clip(count, factor, bound, parallel_element(sink, sink.gradients, parameters));
      update_from_kept(kernels_, sink, penalised ? sink.settings : without_penalties(sink.settings), count, parameters);
    });
  });
}

template <typename T>
void Update<T>::follow_up(const Member& member) {
  const auto bound = static_cast<T>(request_.settings.max_norm);
  const auto decay = static_cast<T>(request_.settings.average_decay);
  T* averages = state_.memory.averages();
  for_own_units(member, [&](const DenseLayer<T>& layer, std::int64_t p, std::int64_t) {
    if (bound > 0) {
      kernels_.limit_norms(layer.weights.rows, vectors_for(kernels_, layer.weights.width(p)), bound,
                           layer.weights.at(p));
    }
    if (decay == 0) return;
    const auto move = [&](T* parameters, std::int64_t count, bool) {
      kernels_.move_averages(count, decay, parameters, parallel_element(state_.sink, averages, parameters));
    };
    for_arrays(layer, p, move);
    if (!layer.normalises()) return;
    move(layer.means + p * layer.weights.panel, layer.weights.panel, false);
    move(layer.variances + p * layer.weights.panel, layer.weights.panel, false);
  });
}

template LayerInput<float> layer_input(const RunState<float>&, std::int64_t, const Batch<float>&, const Member&);
template LayerInput<double> layer_input(const RunState<double>&, std::int64_t, const Batch<double>&, const Member&);
template Range own_panels(const RunState<float>&, std::int64_t, const Member&);
template Range own_panels(const RunState<double>&, std::int64_t, const Member&);
template class Update<float>;
template class Update<double>;

}  // namespace fastmlp

#include "network/mlp.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.hpp"
#include "base/team.hpp"
#include "kernels/dispatch.hpp"
#include "network/input.hpp"
#include "network/plan.hpp"
#include "ops/batch_norm.hpp"
#include "ops/pack.hpp"

namespace fastmlp {
namespace {

constexpr std::int64_t kInferenceRows = 128;

void check_spec(const NetworkSpec& spec) {
  require(spec.layer_sizes.size() >= 2, "layer_sizes must have at least 2 entries (features and outputs), got " +
                                            std::to_string(spec.layer_sizes.size()));
  for (const std::int64_t size : spec.layer_sizes) {
    require(size >= 1, "layer_sizes must be positive, got " + std::to_string(size));
    // Bounded so that rounding up to panels does not overflow.
    if (size > std::int64_t{1} << 48) throw std::bad_alloc();
  }
  require(spec.layers.size() + 1 == spec.layer_sizes.size(), "one activation per layer is required");
  std::int64_t outputs = 0;
  for (const LossSpec& loss : spec.losses) {
    require(loss.outputs >= 1 && loss.outputs <= spec.outputs(), "a loss must have outputs of the network");
    for (const std::size_t size : {loss.parameters.size(), loss.output_weights.size()}) {
      require(size == 1 || size == static_cast<std::size_t>(loss.outputs),
              "a loss must have one parameter and one weight, for all outputs or for each");
    }
    outputs += loss.outputs;
  }
  require(outputs == spec.outputs(), "the losses must cover all outputs");
  const LayerSpec& last = spec.layers.back();
  require(!last.batch_norm && last.dropout == 0, "the last layer has neither batch normalization nor dropout");
}

/// Whole panels with one value per output, or with one value for all; zero beyond the outputs.
template <typename T>
std::vector<T> per_output(const std::vector<double>& values, std::int64_t outputs, std::int64_t panel) {
  std::vector<T> padded(static_cast<std::size_t>(round_up(outputs, panel)));
  if (values.size() == 1) {
    std::fill_n(padded.begin(), outputs, static_cast<T>(values.front()));
  } else {
    std::copy(values.begin(), values.end(), padded.begin());
  }
  return padded;
}

template <typename T>
OutputGroup<T> make_group(const LossSpec& loss, std::int64_t first, std::int64_t panel) {
  return {loss.loss,
          first,
          loss.outputs,
          static_cast<T>(loss.weight),
          static_cast<T>(loss.smoothing),
          per_output<T>(loss.parameters, loss.outputs, panel),
          per_output<T>(loss.output_weights, loss.outputs, panel)};
}

}  // namespace

template <typename T>
Mlp<T>::Mlp(NetworkSpec spec, const std::string& isa) : spec_(std::move(spec)), kernels_(kernel_table<T>(isa)) {
  check_spec(spec_);
  struct Offsets {
    std::size_t weights, bias, scales, means, variances;
  };
  std::vector<Offsets> offsets(spec_.layers.size());
  for (std::size_t l = 0; l < spec_.layers.size(); ++l) {
    DenseLayer<T>& layer = layers_.emplace_back();
    layer.weights = {nullptr, spec_.layer_sizes[l], spec_.layer_sizes[l + 1], kernels_.panel};
    layer.activation = spec_.layers[l].activation;
    layer.parameter = static_cast<T>(spec_.layers[l].parameter);
    const std::int64_t padded_out = layer.weights.count() * kernels_.panel;
    offsets[l].weights = arena_.reserve<T>(checked_product(padded_out, layer.weights.rows));
    offsets[l].bias = arena_.reserve<T>(padded_out);
    if (spec_.layers[l].batch_norm) offsets[l].scales = arena_.reserve<T>(padded_out);
  }
  parameter_elements_ = static_cast<std::int64_t>(arena_.bytes() / sizeof(T));
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (!spec_.layers[l].batch_norm) continue;
    const std::int64_t padded_out = layers_[l].weights.count() * kernels_.panel;
    offsets[l].means = arena_.reserve<T>(padded_out);
    offsets[l].variances = arena_.reserve<T>(padded_out);
  }
  state_elements_ = static_cast<std::int64_t>(arena_.bytes() / sizeof(T));
  arena_.allocate();
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].weights.data = arena_.at<T>(offsets[l].weights);
    layers_[l].bias = arena_.at<T>(offsets[l].bias);
    if (!spec_.layers[l].batch_norm) continue;
    layers_[l].scales = arena_.at<T>(offsets[l].scales);
    layers_[l].means = arena_.at<T>(offsets[l].means);
    layers_[l].variances = arena_.at<T>(offsets[l].variances);
    std::fill_n(layers_[l].scales, layers_[l].weights.cols, T{1});
    std::fill_n(layers_[l].variances, layers_[l].weights.cols, T{1});
  }
  std::int64_t first = 0;
  for (const LossSpec& loss : spec_.losses) {
    groups_.push_back(make_group<T>(loss, first, kernels_.panel));
    first += loss.outputs;
  }
}

template <typename T>
T* Mlp<T>::vector_of(ParameterKind kind, std::size_t l) const {
  switch (kind) {
    case ParameterKind::biases:
      return layer(l).bias;
    case ParameterKind::scales:
      return layer(l).scales;
    case ParameterKind::means:
      return layer(l).means;
    case ParameterKind::variances:
      return layer(l).variances;
    case ParameterKind::weights:
      break;
  }
  return nullptr;
}

template <typename T>
bool Mlp<T>::has(ParameterKind kind, std::size_t l) const {
  return kind == ParameterKind::weights || vector_of(kind, l) != nullptr;
}

template <typename T>
void Mlp<T>::get(ParameterKind kind, std::size_t l, const T* state, T* destination) const {
  Panels<T> weights = layer(l).weights;
  if (kind == ParameterKind::weights) {
    weights.data = const_cast<T*>(state) + (weights.data - parameters());
    unpack(weights, {0, weights.rows}, destination);
  } else {
    std::copy_n(state + (vector_of(kind, l) - parameters()), weights.cols, destination);
  }
}

template <typename T>
void Mlp<T>::set(ParameterKind kind, std::size_t l, const T* source, T* state) const {
  Panels<T> weights = layer(l).weights;
  if (kind == ParameterKind::weights) {
    weights.data = state + (weights.data - parameters());
    pack(source, weights);
  } else {
    std::copy_n(source, weights.cols, state + (vector_of(kind, l) - parameters()));
  }
}

namespace {

/// One thread's buffers for a block of rows. Activations alternate between two buffers.
template <typename T>
class InferenceBlock {
 public:
  InferenceBlock(const Mlp<T>& mlp, std::int64_t rows, std::int64_t input_columns)
      : mlp_(mlp), columns_(mlp.spec().features(), 1) {
    const NetworkSpec& spec = mlp.spec();
    const std::int64_t panel = mlp.kernels().panel;
    std::int64_t widest = input_columns;
    for (const DenseLayer<T>& layer : mlp.layers()) widest = std::max(widest, layer.weights.cols);
    widest = round_up(widest, panel);
    for (std::size_t& offset : offsets_) offset = arena_.template reserve<T>(checked_product(widest, rows));
    loss_scratch_offset_ = arena_.template reserve<T>(loss_scratch_size(mlp.groups(), spec.outputs(), panel));
    arena_.allocate();
  }

  void run(const SampleRows& samples, Range rows, const InferenceOutputs<T>& outputs) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const NetworkSpec& spec = mlp_.spec();
    const std::int64_t count = rows.size();
    columns_.mark(kernels, samples, nullptr, rows, 0);
    const bool leaves_out = columns_.collect(samples, 0, 1);
    const InputColumns columns{leaves_out ? &columns_.nonzero(0) : nullptr, columns_.places(0)};
    LayerInput<T> values{{arena_.template at<T>(offsets_[0]), count, spec.features(), kernels.panel}};
    if (leaves_out) {
      values.values.cols = static_cast<std::int64_t>(columns.nonzero->size());
      values.weight_rows = columns.nonzero->data();
    }
    gather_rows(kernels, spec, samples, nullptr, rows.begin, columns, values.values, {0, count});
    const std::size_t layers = spec.layers.size();
    for (std::size_t l = 0; l < layers; ++l) {
      const DenseLayer<T>& layer = mlp_.layer(l);
      const Panels<T> next{arena_.template at<T>(offsets_[(l + 1) % 2]), count, layer.weights.cols, kernels.panel};
      dense_forward<T>(kernels, layer, values, {next}, {}, {0, count}, {0, values.values.cols}, {0, next.count()});
      for (std::int64_t p = 0; layer.normalizes() && p < next.count(); ++p) {
        batch_norm_infer(kernels, layer, spec.batch_norm_epsilon, next, {0, count}, p);
        dense_finish<T>(kernels, layer, {next}, {}, {0, count}, p);
      }
      values = {next};
      if (l + 1 < layers && !outputs.hidden.empty()) {
        unpack(next, {0, count}, outputs.hidden[l] + rows.begin * next.cols);
      }
    }
    if (spec.softmax_output) softmax_rows(values.values);
    write(values.values, rows, outputs);
  }

 private:
  void softmax_rows(const Panels<T>& values) {
    mlp_.kernels().softmax(values.rows, values.cols, values.data, values.stride());
  }

  void write(const Panels<T>& values, Range rows, const InferenceOutputs<T>& outputs) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const std::int64_t count = rows.size();
    if (outputs.row_loss != nullptr) {
      const MeasuredRows<T> measured{.rows = {0, count},
                                     .first_sample = rows.begin,
                                     .sample_weights = outputs.sample_weights,
                                     .row_loss = outputs.row_loss + rows.begin,
                                     .correct = outputs.correct + rows.begin};
      output_loss(kernels, mlp_.groups(), outputs.targets, measured, values, {},
                  arena_.template at<T>(loss_scratch_offset_));
    }
    if (outputs.predicted != nullptr) {
      kernels.argmax(count, values.cols, values.data, values.stride(), outputs.predicted + rows.begin);
    }
    if (outputs.values == nullptr) return;
    if (outputs.link == Link::softmax) softmax_rows(values);
    if (outputs.link == Link::sigmoid) apply(Elementwise::sigmoid, values);
    if (outputs.link == Link::exp) apply(Elementwise::exp, values);
    unpack(values, {0, count}, outputs.values + rows.begin * values.cols);
  }

  void apply(Elementwise function, const Panels<T>& values) {
    mlp_.kernels().elementwise[static_cast<int>(function)](values.size(), values.data, values.data);
  }

  const Mlp<T>& mlp_;
  ZeroColumns columns_;
  Arena arena_;
  std::size_t offsets_[2];
  std::size_t loss_scratch_offset_;
};

}  // namespace

template <typename T>
bool Mlp<T>::infer(const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
                   const KeepGoing& keep_going) const {
  threads = choose_threads(threads, forward_flops(spec_) * static_cast<double>(samples.count), samples.count);
  const std::int64_t block = std::min(kInferenceRows, ceil_div(samples.count, threads));
  const std::int64_t blocks = ceil_div(samples.count, block);
  std::vector<std::unique_ptr<InferenceBlock<T>>> buffers;
  const std::int64_t columns = most_nonzero_columns(spec_, samples, block);
  for (int t = 0; t < threads; ++t) buffers.push_back(std::make_unique<InferenceBlock<T>>(*this, block, columns));
  std::atomic<bool> stop{false};
  run_team(threads, [&](const Worker& worker) {
    for (std::int64_t b = worker.index; b < blocks && !stop.load(std::memory_order_relaxed); b += worker.count) {
      buffers[static_cast<std::size_t>(worker.index)]->run(
          samples, {b * block, std::min((b + 1) * block, samples.count)}, outputs);
      if (worker.index == 0 && !keep_going()) stop.store(true, std::memory_order_relaxed);
    }
  });
  return !stop.load();
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace fastmlp

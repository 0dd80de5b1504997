#include "network/mlp.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.hpp"
#include "base/team.hpp"
#include "kernels/dispatch.hpp"
#include "network/input.hpp"
#include "network/plan.hpp"
#include "ops/pack.hpp"

namespace fastmlp {
namespace {

constexpr std::int64_t kInferenceRows = 128;

void check_spec(const NetworkSpec& spec) {
  require(spec.layer_sizes.size() >= 2, "layer_sizes must have at least 2 entries (features and outputs), got " +
                                            std::to_string(spec.layer_sizes.size()));
  for (const std::int64_t size : spec.layer_sizes) {
    require(size >= 1, "layer_sizes must be positive, got " + std::to_string(size));
    // Sizes are rounded up to panels below; this keeps that sum itself from overflowing.
    if (size > std::int64_t{1} << 48) throw std::bad_alloc();
  }
  require(spec.activations.size() + 1 == spec.layer_sizes.size(), "one activation per layer is required");
}

}  // namespace

template <typename T>
Mlp<T>::Mlp(NetworkSpec spec, const std::string& isa) : spec_(std::move(spec)), kernels_(kernel_table<T>(isa)) {
  check_spec(spec_);
  std::vector<std::size_t> offsets;
  for (std::int64_t l = 0; l < spec_.layers(); ++l) {
    const auto i = static_cast<std::size_t>(l);
    DenseLayer<T> layer;
    layer.weights = {nullptr, spec_.layer_sizes[i], spec_.layer_sizes[i + 1], kernels_.panel};
    layer.activation = spec_.activations[i];
    const std::int64_t padded_out = layer.weights.count() * kernels_.panel;
    offsets.push_back(arena_.reserve<T>(checked_product(padded_out, layer.weights.rows)));
    offsets.push_back(arena_.reserve<T>(padded_out));
    layers_.push_back(layer);
  }
  parameter_elements_ = static_cast<std::int64_t>(arena_.bytes() / sizeof(T));
  arena_.allocate();
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].weights.data = arena_.at<T>(offsets[2 * l]);
    layers_[l].bias = arena_.at<T>(offsets[2 * l + 1]);
  }
}

template <typename T>
void Mlp<T>::get_weights(std::int64_t l, T* destination) const {
  const Panels<T>& weights = layer(l).weights;
  unpack(weights, {0, weights.rows}, destination);
}

template <typename T>
void Mlp<T>::set_weights(std::int64_t l, const T* source) {
  pack(source, layer(l).weights);
}

template <typename T>
void Mlp<T>::get_biases(std::int64_t l, T* destination) const {
  std::copy_n(layer(l).bias, layer(l).weights.cols, destination);
}

template <typename T>
void Mlp<T>::set_biases(std::int64_t l, const T* source) {
  std::copy_n(source, layer(l).weights.cols, layer(l).bias);
}

namespace {

/// One thread's buffers for a block of rows: the input and two activations that take turns.
template <typename T>
class InferenceBlock {
 public:
  InferenceBlock(const Mlp<T>& mlp, std::int64_t rows) : mlp_(mlp), columns_(mlp.spec().features(), 1) {
    const NetworkSpec& spec = mlp.spec();
    const std::int64_t panel = mlp.kernels().panel;
    std::int64_t widest = 0;
    for (const std::int64_t size : spec.layer_sizes) widest = std::max(widest, (size + panel - 1) / panel * panel);
    for (std::size_t& offset : offsets_) offset = arena_.template reserve<T>(checked_product(widest, rows));
    loss_offset_ = arena_.template reserve<T>(rows);
    predicted_offset_ = arena_.template reserve<std::int32_t>(rows);
    arena_.allocate();
  }

  void run(const SampleRows& samples, Range rows, const InferenceOutputs<T>& outputs) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const NetworkSpec& spec = mlp_.spec();
    const std::int64_t count = rows.size();
    columns_.mark(kernels, samples, nullptr, rows, 0);
    const bool leaves_out = columns_.collect(0);
    const std::vector<std::int32_t>* columns = leaves_out ? &columns_.live(0) : nullptr;
    LayerInput<T> values{{arena_.template at<T>(offsets_[0]), count, spec.features(), kernels.panel}};
    if (leaves_out) {
      values.values.cols = static_cast<std::int64_t>(columns->size());
      values.weight_rows = columns->data();
    }
    gather_rows(kernels, spec, samples, nullptr, rows.begin, columns, values.values, {0, count});
    for (std::int64_t l = 0; l < spec.layers(); ++l) {
      const DenseLayer<T>& layer = mlp_.layer(l);
      const Panels<T> next{arena_.template at<T>(offsets_[(l + 1) % 2]), count, layer.weights.cols, kernels.panel};
      dense_forward(kernels, layer, values, next, {0, count}, {0, values.values.cols}, {0, next.count()});
      values = {next};
    }
    write(values.values, rows, outputs);
  }

 private:
  void write(const Panels<T>& values, Range rows, const InferenceOutputs<T>& outputs) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const std::int64_t count = rows.size();
    auto* predicted = outputs.predicted == nullptr ? arena_.template at<std::int32_t>(predicted_offset_)
                                                   : outputs.predicted + rows.begin;
    if (outputs.row_loss != nullptr) {
      const std::int64_t target_bytes = takes_classes(mlp_.spec().loss)
                                            ? static_cast<std::int64_t>(sizeof(std::int64_t))
                                            : values.cols * static_cast<std::int64_t>(sizeof(T));
      const auto* targets = static_cast<const unsigned char*>(outputs.targets) + rows.begin * target_bytes;
      kernels.loss[static_cast<int>(mlp_.spec().loss)]({count, values.cols, values.data, nullptr, values.stride(),
                                                        targets, nullptr, T{1}, outputs.row_loss + rows.begin,
                                                        predicted});
    } else if (outputs.predicted != nullptr) {
      kernels.argmax(count, values.cols, values.data, values.stride(), predicted);
    }
    if (outputs.values == nullptr) return;
    if (outputs.probabilities) kernels.softmax(count, values.cols, values.data, values.stride());
    unpack(values, {0, count}, outputs.values + rows.begin * values.cols);
  }

  const Mlp<T>& mlp_;
  LiveColumns columns_;
  Arena arena_;
  std::size_t offsets_[2];
  std::size_t loss_offset_;
  std::size_t predicted_offset_;
};

}  // namespace

template <typename T>
bool Mlp<T>::infer(const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
                   const KeepGoing& keep_going) const {
  threads = choose_threads(threads, forward_flops(spec_) * static_cast<double>(samples.count), samples.count);
  const std::int64_t block = std::min(kInferenceRows, (samples.count + threads - 1) / threads);
  const std::int64_t blocks = (samples.count + block - 1) / block;
  std::vector<std::unique_ptr<InferenceBlock<T>>> buffers;
  for (int t = 0; t < threads; ++t) buffers.push_back(std::make_unique<InferenceBlock<T>>(*this, block));
  std::atomic<bool> stop{false};
  run_team(threads, [&](const Member& member) {
    for (std::int64_t b = member.index; b < blocks && !stop.load(std::memory_order_relaxed); b += member.count) {
      buffers[static_cast<std::size_t>(member.index)]->run(
          samples, {b * block, std::min((b + 1) * block, samples.count)}, outputs);
      if (member.index == 0 && !keep_going()) stop.store(true, std::memory_order_relaxed);
    }
  });
  return !stop.load();
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace fastmlp

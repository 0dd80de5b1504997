#include "network/run_memory.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "ops/loss.hpp"

namespace fastmlp {
template <typename T>
RunMemory<T>::RunMemory(const Mlp<T>& mlp, std::int64_t batch_size, const Plan& plan, int slots, bool updates)
    : mlp_(mlp), batch_size_(batch_size), input_copies_(plan.own_input ? plan.threads : 1), slot_count_(slots) {
  const NetworkSpec& spec = mlp.spec();
  const std::int64_t panel = mlp.kernels().panel;
  std::int64_t columns = 0;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const std::int64_t outputs = mlp.layer(l).weights.cols;
    const std::int64_t padded = round_up(outputs, panel);
    const std::int64_t elements = checked_product(padded, batch_size);
    const bool normalizes = spec.layers[l].batch_norm;
    LayerMemory& layer = layers_.emplace_back();
    layer.values = arena_.reserve<T>(elements);
    layer.dz = arena_.reserve<T>(elements);
    layer.derivatives = arena_.reserve<T>(stores_derivatives(mlp.kernels(), spec.layers[l]) ? elements : 0);
    layer.normalized = arena_.reserve<T>(normalizes ? elements : 0);
    layer.moments = arena_.reserve<T>(normalizes ? 5 * padded : 0);
    widest_layer_ = std::max(widest_layer_, outputs);
    columns = checked_sum(columns, outputs);
  }
  std::int64_t transposed = 0;
  for (int team = 1; team <= plan.threads; ++team) {
    transposed = std::max(transposed, checked_product(transposed_elements(team), team));
  }
  transposed_ = arena_.reserve<T>(transposed);
  for (int thread = 0; thread < plan.threads; ++thread) {
    ThreadMemory& memory = threads_.emplace_back();
    memory.scratch = arena_.reserve<T>(panel * panel);
    memory.loss_scratch = arena_.reserve<T>(loss_scratch_size(mlp.groups(), spec.outputs(), panel));
  }
  row_loss_ = arena_.reserve<T>(batch_size);
  correct_ = arena_.reserve<std::int32_t>(batch_size);
  slots_ = arena_.reserve<T>(checked_product(mlp.parameter_elements(), slots));
  start_of_epoch_ = arena_.reserve<T>(updates ? mlp.state_elements() : 0);
  column_sums_ = arena_.reserve<double>(columns);
  arena_.allocate();
  bytes_ = arena_.bytes();
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    LayerMemory& layer = layers_[l];
    layer.output = {layer_panels(layer.values, l, batch_size)};
    if (!stores_derivatives(mlp.kernels(), spec.layers[l])) continue;
    layer.output.derivatives = layer_panels(layer.derivatives, l, batch_size);
  }
}

template <typename T>
Panels<T> RunMemory<T>::layer_panels(std::size_t offset, std::size_t l, std::int64_t batch) const {
  return {arena_.at<T>(offset), batch, mlp_.layer(l).weights.cols, mlp_.kernels().panel};
}

template <typename T>
Panels<T> RunMemory<T>::input(int thread, std::int64_t batch, std::int64_t columns) const {
  const std::int64_t copy = input_copies_ > 1 ? thread : 0;
  return {input_->template at<T>(0) + copy * input_elements_, batch, columns, mlp_.kernels().panel};
}

template <typename T>
Panels<T> RunMemory<T>::dx(std::int64_t batch) const {
  return {dx_->template at<T>(0), batch, mlp_.spec().features(), mlp_.kernels().panel};
}

template <typename T>
BatchNormMemory<T> RunMemory<T>::batch_norm(std::size_t l, std::int64_t batch) const {
  const Panels<T> normalized = layer_panels(layers_[l].normalized, l, batch);
  const std::int64_t padded = normalized.count() * normalized.panel;
  T* moments = arena_.at<T>(layers_[l].moments);
  return {normalized, moments, moments + padded, moments + 2 * padded, moments + 3 * padded, moments + 4 * padded};
}

template <typename T>
void RunMemory<T>::require_input(std::int64_t columns) {
  const std::int64_t elements = checked_product(round_up(columns, mlp_.kernels().panel), batch_size_);
  if (input_ != nullptr && elements <= input_elements_) return;
  allocate(input_, checked_product(elements, input_copies_));
  input_elements_ = elements;
}

template <typename T>
void RunMemory<T>::require_dx() {
  const std::int64_t padded = round_up(mlp_.spec().features(), mlp_.kernels().panel);
  if (dx_ == nullptr) allocate(dx_, checked_product(padded, batch_size_));
}

template <typename T>
T* RunMemory<T>::require_gradients() {
  if (gradients_ == nullptr) allocate(gradients_, mlp_.parameter_elements());
  return gradients_->template at<T>(0);
}

template <typename T>
T* RunMemory<T>::require_averages() {
  if (averages_ == nullptr) {
    allocate(averages_, mlp_.state_elements());
    std::copy_n(mlp_.parameters(), mlp_.state_elements(), averages());
  }
  return averages();
}

template <typename T>
void RunMemory<T>::allocate(std::unique_ptr<Arena>& block, std::int64_t count) {
  auto arena = std::make_unique<Arena>();
  arena->reserve<T>(count);
  arena->allocate();
  const std::size_t before = block == nullptr ? 0 : block->bytes();
  bytes_.fetch_add(arena->bytes() - before, std::memory_order_relaxed);
  block = std::move(arena);
}

template class RunMemory<float>;
template class RunMemory<double>;

}  // namespace fastmlp

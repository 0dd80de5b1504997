#include "network/run_memory.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "ops/loss.hpp"

namespace fastmlp {

namespace {

int most_input_copies(const std::vector<Plan>& plans) {
  int most = 1;
  for (const Plan& plan : plans) most = std::max(most, plan.own_input ? plan.threads : 1);
  return most;
}

}  // namespace

template <typename T>
RunMemory<T>::RunMemory(const Mlp<T>& mlp, std::int64_t rows, const std::vector<Plan>& plans, int slots, bool updates)
    : mlp_(mlp),
      input_rows_(checked_product(rows, mlp.spec().input_copies())),
      rows_(checked_product(rows, mlp.spec().members)),
      input_copies_(most_input_copies(plans)),
      slot_count_(slots) {
  const NetworkSpec& spec = mlp.spec();
  const std::int64_t panel = mlp.kernels().panel;
  const int threads = plans.front().threads;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    reserve_layer(l);
    if (spec.bfloat16) reserve_rounded(l);
  }
  std::int64_t transposed = 0;
  for (int team = 1; team <= threads; ++team) {
    transposed = std::max(transposed, checked_product(transposed_elements(team), team));
  }
  transposed_ = arena_.reserve<T>(transposed);
  if (spec.has_input_stage()) {
    sample_columns_ = arena_.reserve<T>(spec.inputs.empty() ? 0 : checked_product(spec.features(), input_rows_));
    unscaled_input_ = arena_.reserve<T>(checked_product(round_up(spec.inputs_of(0), panel), input_rows_));
  }
  for (int thread = 0; thread < threads; ++thread) {
    ThreadMemory& memory = threads_.emplace_back();
    memory.scratch = arena_.reserve<T>(panel * panel);
    memory.loss_scratch = arena_.reserve<T>(loss_scratch_size(mlp.groups(), spec.outputs(), panel));
    memory.input_scratch = arena_.reserve<T>(input_scratch_size(mlp.kernels(), mlp.input_groups(), input_rows_));
  }
  row_loss_ = arena_.reserve<T>(rows_);
  correct_ = arena_.reserve<std::int32_t>(rows_);
  slots_ = arena_.reserve<T>(checked_product(mlp.parameter_elements(), slots));
  start_of_epoch_ = arena_.reserve<T>(updates ? mlp.state_elements() : 0);
  std::int64_t columns = 0;
  for (const ParameterArray<T>& array : mlp.arrays()) {
    columns = checked_sum(columns, checked_product(array.copies, array.first.cols));
  }
  column_sums_ = arena_.reserve<double>(columns);
  arena_.allocate();
  bytes_ = arena_.bytes();
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    LayerMemory& layer = layers_[l];
    layer.output = {layer_panels(layer.values, l, rows_)};
    if (stores_derivatives(mlp.kernels(), spec.layers[l])) {
      layer.output.derivatives = layer_panels(layer.derivatives, l, rows_);
    }
    if (spec.layers[l].mixes) layer.output.residues = layer_panels(layer.residues, l, rows_);
  }
}

template <typename T>
void RunMemory<T>::reserve_layer(std::size_t l) {
  const NetworkSpec& spec = mlp_.spec();
  const LayerSpec& layer = spec.layers[l];
  const std::int64_t outputs = mlp_.layer(l).weights.cols;
  const std::int64_t padded = round_up(outputs, mlp_.kernels().panel);
  const std::int64_t elements = checked_product(padded, rows_);
  const auto reserve = [&](bool needed, std::int64_t count) { return arena_.reserve<T>(needed ? count : 0); };
  const bool scales = layer.batch_norm || layer.output_scales;
  LayerMemory& memory = layers_.emplace_back();
  memory.values = arena_.reserve<T>(elements);
  const bool scaled = l + 1 < spec.layers.size() && spec.layers[l + 1].input_scales;
  memory.scaled = scaled ? arena_.reserve<T>(elements) : memory.values;
  memory.dz = arena_.reserve<T>(elements);
  memory.derivatives = reserve(stores_derivatives(mlp_.kernels(), layer), elements);
  memory.residues = reserve(layer.mixes, elements);
  memory.normalized = reserve(scales || layer.layer_norm, elements);
  memory.row_moments = reserve(layer.layer_norm, rows_);
  memory.skips = reserve(spec.begins_block(l), elements);
  memory.dsum = reserve(layer.drops_branch(), elements);
  memory.dshifted = reserve(layer.layer_norm, elements);
  memory.moments = reserve(scales, 5 * mlp_.layer(l).vector_copies() * padded);
  memory.dinput_scales = reserve(layer.input_scales, mlp_.layer(l).members * mlp_.layer(l).input_stride);
  widest_layer_ = std::max(widest_layer_, outputs);
}

template <typename T>
void RunMemory<T>::reserve_rounded(std::size_t l) {
  const std::int64_t panel = mlp_.kernels().panel;
  const Panels<T>& weights = mlp_.layer(l).weights;
  RoundedMemory& memory = rounded_.emplace_back();
  const std::int64_t copies = l == 0 ? input_copies_ : 1;
  const std::int64_t input = rounded_size(rows_, weights.rows, panel);
  memory.input = arena_.reserve<Pair>(checked_product(input, copies));
  memory.input_bytes = static_cast<std::size_t>(input) * sizeof(Pair);
  memory.dz = arena_.reserve<Pair>(rounded_size(rows_, weights.cols, panel));
  memory.weights = arena_.reserve<Pair>(rounded_size(weights.rows, weights.cols, panel));
}

template <typename T>
Panels<T> RunMemory<T>::layer_panels(std::size_t offset, std::size_t l, std::int64_t rows) const {
  return {arena_.at<T>(offset), rows, mlp_.layer(l).weights.cols, mlp_.kernels().panel};
}

template <typename T>
Panels<T> RunMemory<T>::input(int copy, std::int64_t rows, std::int64_t columns) const {
  return {input_->template at<T>(0) + copy * input_elements_, rows, columns, mlp_.kernels().panel};
}

template <typename T>
Panels<T> RunMemory<T>::dx(std::int64_t rows) const {
  return {dx_->template at<T>(0), rows, mlp_.spec().inputs_of(0), mlp_.kernels().panel};
}

template <typename T>
BatchNormMemory<T> RunMemory<T>::batch_norm(std::size_t l, std::int64_t rows) const {
  const Panels<T> normalized = layer_panels(layers_[l].normalized, l, rows);
  const std::int64_t size = mlp_.layer(l).vector_copies() * normalized.count() * normalized.panel;
  T* moments = arena_.at<T>(layers_[l].moments);
  return {normalized, moments, moments + size, moments + 2 * size, moments + 3 * size, moments + 4 * size};
}

template <typename T>
void RunMemory<T>::require_input(std::int64_t columns) {
  const std::int64_t elements = checked_product(round_up(columns, mlp_.kernels().panel), rows_);
  if (input_ != nullptr && elements <= input_elements_) return;
  allocate(input_, checked_product(elements, input_copies_));
  input_elements_ = elements;
}

template <typename T>
void RunMemory<T>::require_dx() {
  const std::int64_t padded = round_up(mlp_.spec().inputs_of(0), mlp_.kernels().panel);
  if (dx_ == nullptr) allocate(dx_, checked_product(padded, rows_));
}

template <typename T>
T* RunMemory<T>::require_gradients(std::size_t levels) {
  if (gradients_ == nullptr) {
    allocate(gradients_, checked_product(mlp_.parameter_elements(), static_cast<std::int64_t>(levels)));
  }
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

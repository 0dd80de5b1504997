#include "network/run_memory.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "ops/loss.hpp"

namespace fastmlp {
namespace {

std::int64_t round_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <typename T>
std::unique_ptr<Arena> allocate_elements(std::int64_t count) {
  auto arena = std::make_unique<Arena>();
  arena->reserve<T>(count);
  arena->allocate();
  return arena;
}

}  // namespace

template <typename T>
RunMemory<T>::RunMemory(const Mlp<T>& mlp, std::int64_t batch_size, const Plan& plan, int slots, bool updates)
    : mlp_(mlp), batch_size_(batch_size), members_(plan.threads), own_input_(plan.own_input), slot_count_(slots) {
  const NetworkSpec& spec = mlp.spec();
  const std::int64_t panel = mlp.kernels().panel;
  std::vector<std::size_t> values;  // by level
  std::vector<std::size_t> slopes;
  std::int64_t columns = 0;
  for (std::int64_t level = 0; level <= spec.layer_count(); ++level) {
    const std::int64_t size = spec.layer_sizes[static_cast<std::size_t>(level)];
    const std::int64_t padded = round_up(size, panel);
    const std::int64_t elements = level == 0 ? 0 : checked_product(padded, batch_size);
    const bool keeps = level > 0 && keeps_slopes(mlp.kernels(), spec.layer(level - 1));
    const bool normalises = level > 0 && spec.layer(level - 1).batch_norm;
    values.push_back(arena_.reserve<T>(elements));
    level_gradients_.push_back(arena_.reserve<T>(elements));
    slopes.push_back(arena_.reserve<T>(keeps ? elements : 0));
    normalised_.push_back(arena_.reserve<T>(normalises ? elements : 0));
    moments_.push_back(arena_.reserve<T>(normalises ? 3 * padded : 0));
    if (level > 0) widest_ = std::max(widest_, size);
    if (level > 0) columns = checked_sum(columns, size);
  }
  std::int64_t transposed = 0;
  for (int team = 1; team <= members_; ++team) {
    transposed = std::max(transposed, checked_product(transposed_elements(team), team));
  }
  transposed_ = arena_.reserve<T>(transposed);
  for (int member = 0; member < members_; ++member) {
    scratch_.push_back(arena_.reserve<T>(panel * panel));
    loss_scratch_.push_back(arena_.reserve<T>(loss_scratch_size(mlp.groups(), spec.outputs(), panel)));
  }
  row_loss_ = arena_.reserve<T>(batch_size);
  correct_ = arena_.reserve<std::int32_t>(batch_size);
  slots_ = arena_.reserve<T>(checked_product(mlp.parameter_elements(), slots));
  start_of_epoch_ = arena_.reserve<T>(updates ? mlp.state_elements() : 0);
  column_sums_ = arena_.reserve<double>(columns);
  arena_.allocate();
  outputs_.resize(1);
  for (std::int64_t level = 1; level <= spec.layer_count(); ++level) {
    LayerOutput<T> output{level_panels(values, level, batch_size)};
    if (keeps_slopes(mlp.kernels(), spec.layer(level - 1))) output.slopes = level_panels(slopes, level, batch_size);
    outputs_.push_back(output);
  }
}

template <typename T>
Panels<T> RunMemory<T>::level_panels(const std::vector<std::size_t>& offsets, std::int64_t level,
                                     std::int64_t batch) const {
  return {arena_.at<T>(at(offsets, level)), batch, mlp_.spec().layer_sizes[static_cast<std::size_t>(level)],
          mlp_.kernels().panel};
}

template <typename T>
Panels<T> RunMemory<T>::input(int member, std::int64_t batch, std::int64_t columns) const {
  const std::int64_t copy = own_input_ ? member : 0;
  return {input_->template at<T>(0) + copy * input_elements_, batch, columns, mlp_.kernels().panel};
}

template <typename T>
Panels<T> RunMemory<T>::gradient(std::int64_t level, std::int64_t batch) const {
  Panels<T> panels = level_panels(level_gradients_, level, batch);
  if (level == 0) panels.data = input_gradient_->template at<T>(0);
  return panels;
}

template <typename T>
BatchNormMemory<T> RunMemory<T>::batch_norm(std::int64_t level, std::int64_t batch) const {
  const Panels<T> normalised = level_panels(normalised_, level, batch);
  const std::int64_t padded = normalised.count() * normalised.panel;
  T* moments = arena_.at<T>(at(moments_, level));
  return {normalised, moments, moments + padded, moments + 2 * padded};
}

template <typename T>
void RunMemory<T>::require_input(std::int64_t columns) {
  const std::int64_t elements = checked_product(round_up(columns, mlp_.kernels().panel), batch_size_);
  if (input_ != nullptr && elements <= input_elements_) return;
  input_ = allocate_elements<T>(checked_product(elements, own_input_ ? members_ : 1));
  input_elements_ = elements;
}

template <typename T>
void RunMemory<T>::require_input_gradient() {
  const std::int64_t padded = round_up(mlp_.spec().features(), mlp_.kernels().panel);
  if (input_gradient_ == nullptr) input_gradient_ = allocate_elements<T>(checked_product(padded, batch_size_));
}

template <typename T>
T* RunMemory<T>::require_gradients() {
  if (gradients_ == nullptr) gradients_ = allocate_elements<T>(mlp_.parameter_elements());
  return gradients_->template at<T>(0);
}

template <typename T>
T* RunMemory<T>::require_averages() {
  if (averages_ == nullptr) {
    averages_ = allocate_elements<T>(mlp_.state_elements());
    std::copy_n(mlp_.parameters(), mlp_.state_elements(), averages());
  }
  return averages();
}

template <typename T>
std::size_t RunMemory<T>::bytes() const {
  std::size_t total = arena_.bytes();
  for (const auto* arena : {&input_, &input_gradient_, &gradients_, &averages_}) {
    if (*arena != nullptr) total += (*arena)->bytes();
  }
  return total;
}

template class RunMemory<float>;
template class RunMemory<double>;

}  // namespace fastmlp

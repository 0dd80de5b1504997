// What a network is, in numbers: decided by the user, checked once, read by everything else.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// Names as users write them, in the order of the enums.
inline constexpr std::array<const char*, 4> kActivationNames = {"identity", "relu", "sigmoid", "tanh"};
inline constexpr std::array<const char*, 2> kLossNames = {"softmax_cross_entropy", "mse"};
inline constexpr std::array<const char*, 13> kOptimizerNames = {
    "sgd",     "momentum",         "nesterov",        "adagrad",
    "rmsprop", "rmsprop_momentum", "centred_rmsprop", "centred_rmsprop_momentum",
    "adam",    "amsgrad",          "adamax",          "nadam",
    "lion"};
inline constexpr std::array<const char*, 4> kElementwiseNames = {"exp", "log", "tanh", "sigmoid"};
static_assert(kActivationNames.size() == static_cast<std::size_t>(Activation::count));
static_assert(kLossNames.size() == static_cast<std::size_t>(Loss::count));
static_assert(kOptimizerNames.size() == static_cast<std::size_t>(Optimizer::count));
static_assert(kElementwiseNames.size() == static_cast<std::size_t>(Elementwise::count));

struct NetworkSpec {
  std::vector<std::int64_t> layer_sizes;  // features, hidden..., outputs
  std::vector<Activation> activations;    // one per layer of weights
  Loss loss = Loss::softmax_cross_entropy;
  double input_scale = 1.0;

  std::int64_t layers() const { return static_cast<std::int64_t>(layer_sizes.size()) - 1; }
  std::int64_t features() const { return layer_sizes.front(); }
  std::int64_t outputs() const { return layer_sizes.back(); }
};

/// Loss targets are classes (int64), not values.
inline bool takes_classes(Loss loss) { return loss == Loss::softmax_cross_entropy; }

/// Row-major samples as the caller holds them.
struct SampleRows {
  const void* data = nullptr;
  std::int64_t count = 0;
  std::int64_t row_bytes = 0;
  InputType type = InputType::scalar;
};

}  // namespace fastmlp

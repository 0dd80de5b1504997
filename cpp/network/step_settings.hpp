// The settings of an optimizer, and what it needs in one step.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernel_table.hpp"
#include "ops/gradient_sink.hpp"

namespace fastmlp {

/// Set by the user for all steps of an epoch.
struct StepSettings {
  double learning_rate = 0;
  double momentum = 0;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  double l1 = 0;
  double l2 = 0;
  double decay = 0;         // decoupled: parameters shrink by learning_rate * decay
  double l2_per_batch = 0;  // not 0: l1 and l2 are divided by the total weight of the batch
  double epsilon_hat = 0;   // not 0: epsilon is added before the correction of the mean square's bias
  // Of the next four, 0 means none.
  double clip_value = 0;     // of each element of the gradient
  double clip_norm = 0;      // of the whole gradient
  double max_norm = 0;       // of the weights that lead to a unit
  double average_decay = 0;  // of the moving average of the parameters

  bool clips() const { return clip_value > 0 || clip_norm > 0; }
  bool bounds_norms() const { return max_norm > 0; }
  bool moves_averages() const { return average_decay > 0; }
};

/// For bias corrections: products of the decay rates, with one factor per completed step.
struct Moments {
  /// Counts one more step, and returns its settings. decay: of this step; batch_weight: total weight of its samples.
  UpdateSettings<double> next(Optimizer optimizer, const StepSettings& settings, double learning_rate, double decay,
                              double batch_weight);

  std::int64_t steps = 0;
  double beta1_product = 1;
  double beta2_product = 1;
  double schedule = 1;  // Nadam: 0.96^(0.004 t)
};

/// What one array of parameters has instead of the settings of a step.
struct ArrayRate {
  ParameterKind kind = ParameterKind::weights;
  std::size_t index = 0;  // of the layer or the group of inputs
  double rate = 1;        // factor of the learning rate
  double decay = 1;       // factor of the decay, which is 1 for weights and 0 for all others unless it is given here
  double epsilon = 1;     // factor of epsilon
};

/// The settings of one step for each array.
template <typename T>
class StepUpdate {
 public:
  StepUpdate(std::size_t layers, std::size_t groups, bool has_rates);

  void set(const UpdateSettings<double>& step, const std::vector<ArrayRate>& rates);
  const KindSettings<T>& of_layer(std::size_t l) const { return own_.empty() ? common_ : own_[l]; }
  const KindSettings<T>& of_inputs(std::size_t group) const { return own_.empty() ? common_ : own_[layers_ + group]; }

 private:
  std::size_t layers_;
  KindSettings<T> common_{};
  std::vector<KindSettings<T>> own_;  // of each layer, then of each group; empty: all are alike
};

}  // namespace fastmlp

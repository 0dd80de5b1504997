// The settings of an optimizer, and what it needs in one step.
#pragma once

#include "kernels/kernel_table.hpp"

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
  /// Counts one more step, and returns its settings. batch_weight: total weight of its samples.
  template <typename T>
  UpdateSettings<T> next(Optimizer optimizer, const StepSettings& settings, double learning_rate, double batch_weight);

  std::int64_t steps = 0;
  double beta1_product = 1;
  double beta2_product = 1;
  double schedule = 1;  // Nadam: 0.96^(0.004 t)
};

}  // namespace fastmlp

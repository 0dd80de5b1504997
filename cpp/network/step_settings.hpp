// From the settings of an optimizer to those of one step.
#pragma once

#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// What the user sets, for all steps of an epoch.
struct StepSettings {
  double learning_rate = 0;
  double momentum = 0;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  double l1 = 0;
  double l2 = 0;
  double decay = 0;  // decoupled: parameters shrink by learning_rate * decay
};

/// What bias corrections need to know of the steps done: products of the decay rates, one factor per step.
class Moments {
 public:
  /// The settings of the next step, which is then counted as done.
  template <typename T>
  UpdateSettings<T> next(Optimizer optimizer, const StepSettings& settings);

 private:
  double beta1_product_ = 1;
  double beta2_product_ = 1;
  double schedule_ = 1;  // Nadam: 0.96^(0.004 t)
};

}  // namespace fastmlp

#include "network/step_settings.hpp"

#include <cmath>

namespace fastmlp {
namespace {

/// 0.96^0.004 of Nadam's momentum schedule.
constexpr double kScheduleFactor = 0.9998367253526753;

}  // namespace

template <typename T>
UpdateSettings<T> Moments::next(Optimizer optimizer, const StepSettings& settings, double learning_rate,
                                double batch_weight) {
  ++steps;
  double step_size = 0;
  double gradient_step = 0;
  beta2_product *= settings.beta2;
  if (optimizer == Optimizer::nadam) {
    schedule *= kScheduleFactor;
    const double now = settings.beta1 * (1 - 0.5 * schedule);
    const double after = settings.beta1 * (1 - 0.5 * schedule * kScheduleFactor);
    beta1_product *= now;
    gradient_step = learning_rate * (1 - now) / (1 - beta1_product);
    step_size = learning_rate * after / (1 - beta1_product * after);
  } else {
    beta1_product *= settings.beta1;
    step_size = learning_rate / (1 - beta1_product);
  }
  const double root_correction = 1 / std::sqrt(1 - beta2_product);
  const double penalties = settings.l2_per_batch != 0 && batch_weight > 0 ? 1 / batch_weight : 1;
  return {.learning_rate = static_cast<T>(learning_rate),
          .momentum = static_cast<T>(settings.momentum),
          .beta1 = static_cast<T>(settings.beta1),
          .beta2 = static_cast<T>(settings.beta2),
          .epsilon = static_cast<T>(settings.epsilon * (settings.epsilon_hat != 0 ? root_correction : 1)),
          .l1 = static_cast<T>(settings.l1 * penalties),
          .l2 = static_cast<T>(settings.l2 * penalties),
          .shrink = static_cast<T>(1 - learning_rate * settings.decay),
          .step_size = static_cast<T>(step_size),
          .gradient_step = static_cast<T>(gradient_step),
          .root_correction = static_cast<T>(root_correction)};
}

template UpdateSettings<float> Moments::next(Optimizer, const StepSettings&, double, double);
template UpdateSettings<double> Moments::next(Optimizer, const StepSettings&, double, double);

}  // namespace fastmlp

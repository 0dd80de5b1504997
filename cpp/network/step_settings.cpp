#include "network/step_settings.hpp"

#include <cmath>

namespace fastmlp {
namespace {

/// 0.96^0.004 of Nadam's momentum schedule.
constexpr double kScheduleFactor = 0.9998367253526753;

}  // namespace

template <typename T>
UpdateSettings<T> Moments::next(Optimizer optimizer, const StepSettings& settings) {
  double step_size = 0;
  double gradient_step = 0;
  beta2_product_ *= settings.beta2;
  if (optimizer == Optimizer::nadam) {
    schedule_ *= kScheduleFactor;
    const double now = settings.beta1 * (1 - 0.5 * schedule_);
    const double after = settings.beta1 * (1 - 0.5 * schedule_ * kScheduleFactor);
    beta1_product_ *= now;
    gradient_step = settings.learning_rate * (1 - now) / (1 - beta1_product_);
    step_size = settings.learning_rate * after / (1 - beta1_product_ * after);
  } else {
    beta1_product_ *= settings.beta1;
    step_size = settings.learning_rate / (1 - beta1_product_);
  }
  return {.learning_rate = static_cast<T>(settings.learning_rate),
          .momentum = static_cast<T>(settings.momentum),
          .beta1 = static_cast<T>(settings.beta1),
          .beta2 = static_cast<T>(settings.beta2),
          .epsilon = static_cast<T>(settings.epsilon),
          .l1 = static_cast<T>(settings.l1),
          .l2 = static_cast<T>(settings.l2),
          .shrink = static_cast<T>(1 - settings.learning_rate * settings.decay),
          .step_size = static_cast<T>(step_size),
          .gradient_step = static_cast<T>(gradient_step),
          .root_correction = static_cast<T>(1 / std::sqrt(1 - beta2_product_))};
}

template UpdateSettings<float> Moments::next(Optimizer, const StepSettings&);
template UpdateSettings<double> Moments::next(Optimizer, const StepSettings&);

}  // namespace fastmlp

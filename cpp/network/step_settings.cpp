#include "network/step_settings.hpp"

#include <algorithm>
#include <cmath>

namespace fastmlp {
namespace {

/// 0.96^0.004 of Nadam's momentum schedule.
constexpr double kScheduleFactor = 0.9998367253526753;

}  // namespace

UpdateSettings<double> Moments::next(Optimizer optimizer, const StepSettings& settings, double learning_rate,
                                     double decay, double batch_weight) {
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
  return {.learning_rate = learning_rate,
          .momentum = settings.momentum,
          .beta1 = settings.beta1,
          .beta2 = settings.beta2,
          .epsilon = settings.epsilon * (settings.epsilon_hat != 0 ? root_correction : 1),
          .l1 = settings.l1 * penalties,
          .l2 = settings.l2 * penalties,
          .shrink = 1 - learning_rate * decay,
          .step_size = step_size,
          .gradient_step = gradient_step,
          .root_correction = root_correction};
}

namespace {

template <typename T>
UpdateSettings<T> rounded(const UpdateSettings<double>& settings) {
  return {.learning_rate = static_cast<T>(settings.learning_rate),
          .momentum = static_cast<T>(settings.momentum),
          .beta1 = static_cast<T>(settings.beta1),
          .beta2 = static_cast<T>(settings.beta2),
          .epsilon = static_cast<T>(settings.epsilon),
          .l1 = static_cast<T>(settings.l1),
          .l2 = static_cast<T>(settings.l2),
          .shrink = static_cast<T>(settings.shrink),
          .step_size = static_cast<T>(settings.step_size),
          .gradient_step = static_cast<T>(settings.gradient_step),
          .root_correction = static_cast<T>(settings.root_correction)};
}

/// Penalties are for weights.
UpdateSettings<double> of_kind(UpdateSettings<double> step, ParameterKind kind) {
  if (kind == ParameterKind::weights) return step;
  step.l1 = step.l2 = 0;
  step.shrink = 1;
  return step;
}

UpdateSettings<double> of_array(const UpdateSettings<double>& step, const ArrayRate& array) {
  UpdateSettings<double> own = of_kind(step, array.kind);
  own.learning_rate *= array.rate;
  own.step_size *= array.rate;
  own.gradient_step *= array.rate;
  own.epsilon *= array.epsilon;
  own.shrink = 1 - (1 - step.shrink) * array.rate * array.decay;
  return own;
}

}  // namespace

template <typename T>
StepUpdate<T>::StepUpdate(std::size_t layers, std::size_t groups, bool has_rates)
    : layers_(layers), own_(has_rates ? layers + groups : 0) {}

template <typename T>
void StepUpdate<T>::set(const UpdateSettings<double>& step, const std::vector<ArrayRate>& rates) {
  common_.weights = rounded<T>(step);
  common_.others = rounded<T>(of_kind(step, ParameterKind::biases));
  for (KindSettings<T>& settings : own_) {
    settings.own.fill(common_.others);
    settings.own[static_cast<std::size_t>(ParameterKind::weights)] = common_.weights;
    settings.has_own = true;
  }
  for (const ArrayRate& array : rates) {
    KindSettings<T>& settings = own_[array.index + (is_of_inputs(array.kind) ? layers_ : 0)];
    settings.own[static_cast<std::size_t>(array.kind)] = rounded<T>(of_array(step, array));
  }
}

template class StepUpdate<float>;
template class StepUpdate<double>;

}  // namespace fastmlp

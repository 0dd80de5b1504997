#include "network/initializer.hpp"

#include <cmath>
#include <utility>

#include "base/philox.hpp"
#include "kernels/dispatch.hpp"

namespace fastmlp {
namespace {

template <std::size_t N>
double polynomial(const double (&coefficients)[N], double x) {
  double value = coefficients[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) value = value * x + coefficients[i];
  return value;
}

/// The kernels' logarithm: the C library's may differ between machines in the last bit.
double portable_log(double x) {
  double result = 0;
  kernel_table<double>("generic").elementwise[static_cast<int>(Elementwise::log)](1, &x, &result);
  return result;
}

}  // namespace

double inverse_normal_cdf(double p) {
  constexpr double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                          1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                          3.3430575583588128105e+4, 2.5090809287301226727e+3};
  constexpr double b[] = {1.0,
                          4.2313330701600911252e+1,
                          6.8718700749205790830e+2,
                          5.3941960214247511077e+3,
                          2.1213794301586595867e+4,
                          3.9307895800092710610e+4,
                          2.8729085735721942674e+4,
                          5.2264952788528545610e+3};
  constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                          3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                          2.27238449892691845833e-2, 7.74545014278341407640e-4};
  constexpr double d[] = {1.0,
                          2.05319162663775882187e0,
                          1.67638483018380384940e0,
                          6.89767334985100004550e-1,
                          1.48103976427480074590e-1,
                          1.51986665636164571966e-2,
                          5.47593808499534494600e-4,
                          1.05075007164441684324e-9};
  constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                          2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                          2.71155556874348757815e-5, 2.01033439929228813265e-7};
  constexpr double f[] = {1.0,
                          5.99832206555887937690e-1,
                          1.36929880922735805310e-1,
                          1.48753612908506148525e-2,
                          7.86869131145613259100e-4,
                          1.84631831751005468180e-5,
                          1.42151175831644588870e-7,
                          2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double r = std::sqrt(-portable_log(q < 0 ? p : 1 - p));
  const double tail =
      r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6) : polynomial(e, r - 5) / polynomial(f, r - 5);
  return q < 0 ? -tail : tail;
}

template <typename T>
void initialize(Mlp<T>& mlp, Initializer initializer, std::uint64_t seed) {
  const bool he = initializer == Initializer::he_uniform || initializer == Initializer::he_normal;
  const bool normal = initializer == Initializer::glorot_normal || initializer == Initializer::he_normal;
  for (std::int64_t l = 0; l < mlp.spec().layers(); ++l) {
    const DenseLayer<T>& layer = mlp.layer(l);
    const Panels<T>& weights = layer.weights;
    const auto fan_in = static_cast<double>(weights.rows);
    const auto fan_out = static_cast<double>(weights.cols);
    const double deviation = std::sqrt(2.0 / (he ? fan_in : fan_in + fan_out));
    const double bound = std::sqrt(3.0) * deviation;
    const RandomStream random(seed, RandomPurpose::initialization, static_cast<std::uint32_t>(l));
    for (std::int64_t j = 0; j < weights.cols; ++j) {
      T* column = weights.at(j / weights.panel) + j % weights.panel;
      for (std::int64_t i = 0; i < weights.rows; ++i) {
        const double u = random.uniform(static_cast<std::uint64_t>(i * weights.cols + j));
        column[i * weights.panel] = static_cast<T>(normal ? deviation * inverse_normal_cdf(u) : bound * (2 * u - 1));
      }
      layer.bias[j] = T{0};
    }
  }
}

void shuffled_order(std::uint64_t seed, std::uint32_t epoch, std::int64_t count, std::int64_t* order) {
  const RandomStream random(seed, RandomPurpose::shuffle, epoch);
  for (std::int64_t i = 0; i < count; ++i) order[i] = i;
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(order[i], order[random.below(static_cast<std::uint64_t>(i), i + 1)]);
  }
}

template void initialize(Mlp<float>&, Initializer, std::uint64_t);
template void initialize(Mlp<double>&, Initializer, std::uint64_t);

}  // namespace fastmlp

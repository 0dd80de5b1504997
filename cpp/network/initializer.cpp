#include "network/initializer.hpp"

#include <cmath>
#include <utility>
#include <vector>

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

/// The logarithm of the kernels; that of the C library may differ between machines in the last bit.
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

namespace {

struct Distribution {
  bool normal;
  double scale;  // deviation, or largest magnitude
};

Distribution distribution_of(Initializer initializer, double parameter, double fan_in, double fan_out) {
  const auto uniform = [](double variance) { return Distribution{false, std::sqrt(3.0) * std::sqrt(variance)}; };
  const auto normal = [](double variance) { return Distribution{true, std::sqrt(variance)}; };
  switch (initializer) {
    case Initializer::normal:
    case Initializer::orthogonal:
      return {true, parameter};
    case Initializer::uniform:
      return {false, parameter};
    case Initializer::glorot_uniform:
      return uniform(2 / (fan_in + fan_out));
    case Initializer::glorot_normal:
      return normal(2 / (fan_in + fan_out));
    case Initializer::he_uniform:
      return uniform(2 / fan_in);
    case Initializer::he_normal:
      return normal(2 / fan_in);
    case Initializer::lecun_uniform:
      return uniform(1 / fan_in);
    case Initializer::lecun_normal:
      return normal(1 / fan_in);
    case Initializer::zeros:
    case Initializer::constant:
      break;
  }
  return {false, 0};
}

/// Row `i` of a matrix of normal deviates becomes orthonormal to the rows before it; twice is enough against
/// rounding (L. Giraud, J. Langou, M. Rozloznik, "On the loss of orthogonality in the Gram-Schmidt
/// orthogonalization process", 2005).
void orthonormalize(std::vector<double>& matrix, std::size_t rows, std::size_t cols) {
  for (std::size_t i = 0; i < rows; ++i) {
    double* row = matrix.data() + i * cols;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t k = 0; k < i; ++k) {
        const double* other = matrix.data() + k * cols;
        double product = 0;
        for (std::size_t j = 0; j < cols; ++j) product += row[j] * other[j];
        for (std::size_t j = 0; j < cols; ++j) row[j] -= product * other[j];
      }
    }
    double square = 0;
    for (std::size_t j = 0; j < cols; ++j) square += row[j] * row[j];
    const double factor = 1 / std::sqrt(square);
    for (std::size_t j = 0; j < cols; ++j) row[j] *= factor;
  }
}

/// Row-major (rows, cols) weights with orthonormal columns, or rows where these are fewer.
std::vector<double> orthogonal_weights(std::int64_t rows, std::int64_t cols, const RandomStream& random) {
  const bool wide = rows < cols;
  const auto vectors = static_cast<std::size_t>(wide ? rows : cols);
  const auto length = static_cast<std::size_t>(wide ? cols : rows);
  std::vector<double> basis(vectors * length);
  for (std::size_t i = 0; i < basis.size(); ++i) basis[i] = inverse_normal_cdf(random.uniform(i));
  orthonormalize(basis, vectors, length);
  if (wide) return basis;
  std::vector<double> weights(basis.size());
  for (std::size_t j = 0; j < vectors; ++j) {
    for (std::size_t i = 0; i < length; ++i) weights[i * vectors + j] = basis[j * length + i];
  }
  return weights;
}

}  // namespace

template <typename T>
void initialize(Mlp<T>& mlp, Initializer initializer, double parameter, std::uint64_t seed) {
  for (std::int64_t l = 0; l < mlp.spec().layer_count(); ++l) {
    const DenseLayer<T>& layer = mlp.layer(l);
    const Panels<T>& weights = layer.weights;
    const Distribution distribution =
        distribution_of(initializer, parameter, static_cast<double>(weights.rows), static_cast<double>(weights.cols));
    const RandomStream random(seed, RandomPurpose::initialization, static_cast<std::uint32_t>(l));
    std::vector<double> orthogonal;
    if (initializer == Initializer::orthogonal) orthogonal = orthogonal_weights(weights.rows, weights.cols, random);
    for (std::int64_t j = 0; j < weights.cols; ++j) {
      T* column = weights.at(j / weights.panel) + j % weights.panel;
      for (std::int64_t i = 0; i < weights.rows; ++i) {
        const auto element = static_cast<std::size_t>(i * weights.cols + j);
        double value = initializer == Initializer::constant ? parameter : 0;
        if (!orthogonal.empty()) {
          value = parameter * orthogonal[element];
        } else if (distribution.scale != 0) {
          const double u = random.uniform(element);
          value = distribution.scale * (distribution.normal ? inverse_normal_cdf(u) : 2 * u - 1);
        }
        column[i * weights.panel] = static_cast<T>(value);
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

template void initialize(Mlp<float>&, Initializer, double, std::uint64_t);
template void initialize(Mlp<double>&, Initializer, double, std::uint64_t);

}  // namespace fastmlp

#include "network/initializer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/arena.hpp"
#include "base/check.hpp"
#include "base/philox.hpp"
#include "kernels/dispatch.hpp"
#include "network/input.hpp"

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
    case Initializer::rsqrt_uniform:
      return uniform(1 / (3 * fan_in));
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
std::vector<double> orthogonal_weights(std::int64_t rows, std::int64_t cols, const RandomStream& random,
                                       std::uint64_t first) {
  const bool wide = rows < cols;
  const auto vectors = static_cast<std::size_t>(wide ? rows : cols);
  const auto length = static_cast<std::size_t>(wide ? cols : rows);
  std::vector<double> basis(vectors * length);
  for (std::size_t i = 0; i < basis.size(); ++i) basis[i] = inverse_normal_cdf(random.uniform(first + i));
  orthonormalize(basis, vectors, length);
  if (wide) return basis;
  std::vector<double> weights(basis.size());
  for (std::size_t j = 0; j < vectors; ++j) {
    for (std::size_t i = 0; i < length; ++i) weights[i * vectors + j] = basis[j * length + i];
  }
  return weights;
}

}  // namespace

namespace {

/// Streams of random numbers: layer l has number l, other arrays have numbers from here on.
constexpr std::uint32_t kFirstArrayStream = 1 << 24;

/// Weights of one copy, whose elements are numbered from `first` on.
template <typename T>
void initialize_weights(const Panels<T>& weights, Initializer initializer, double parameter, const RandomStream& random,
                        std::int64_t first) {
  const Distribution distribution =
      distribution_of(initializer, parameter, static_cast<double>(weights.rows), static_cast<double>(weights.cols));
  std::vector<double> orthogonal;
  if (initializer == Initializer::orthogonal) {
    orthogonal = orthogonal_weights(weights.rows, weights.cols, random, static_cast<std::uint64_t>(first));
  }
  for (std::int64_t j = 0; j < weights.cols; ++j) {
    T* column = weights.at(j / weights.panel) + j % weights.panel;
    for (std::int64_t i = 0; i < weights.rows; ++i) {
      const auto element = static_cast<std::size_t>(i * weights.cols + j);
      double value = initializer == Initializer::constant ? parameter : 0;
      if (!orthogonal.empty()) {
        value = parameter * orthogonal[element];
      } else if (distribution.scale != 0) {
        const double u = random.uniform(static_cast<std::uint64_t>(first) + element);
        value = distribution.scale * (distribution.normal ? inverse_normal_cdf(u) : 2 * u - 1);
      }
      column[i * weights.panel] = static_cast<T>(value);
    }
  }
}

/// value(random, i) for element i of each copy of an array of vectors.
template <typename T, typename Value>
void fill_array(const ParameterArray<T>& array, std::uint64_t seed, std::uint32_t number, Value value) {
  const RandomStream random(seed, RandomPurpose::initialization, kFirstArrayStream + number);
  for (std::int64_t copy = 0; copy < array.copies; ++copy) {
    T* elements = array.first.data + copy * array.stride();
    for (std::int64_t i = 0; i < array.first.cols; ++i) {
      elements[i] = static_cast<T>(value(random, static_cast<std::uint64_t>(copy * array.first.cols + i)));
    }
  }
}

/// Frequencies are normal, phases uniform, maps as PyTorch's linear layers, tables normal: the choices of RealMLP and
/// of Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular deep learning", 2022.
template <typename T>
void initialize_embedding(const ParameterArray<T>& array, const InputGroup& group, std::uint64_t seed,
                          std::uint32_t number) {
  const auto normal = [](const RandomStream& random, std::uint64_t i) { return inverse_normal_cdf(random.uniform(i)); };
  const auto uniform = [](const RandomStream& random, std::uint64_t i) { return 2 * random.uniform(i) - 1; };
  const double bound = 1 / std::sqrt(static_cast<double>(group.bases));
  switch (array.kind) {
    case ParameterKind::frequencies:
      return fill_array(array, seed, number, [&](const RandomStream& random, std::uint64_t i) {
        return group.deviation * normal(random, i);
      });
    case ParameterKind::phases:
      return fill_array(array, seed, number, [&](const RandomStream& random, std::uint64_t i) {
        return 3.14159265358979323846 * uniform(random, i);
      });
    case ParameterKind::maps:
    case ParameterKind::map_biases:
      return fill_array(array, seed, number,
                        [&](const RandomStream& random, std::uint64_t i) { return bound * uniform(random, i); });
    default:
      return fill_array(array, seed, number, normal);
  }
}

/// Members begin apart by their scales of the inputs: random signs, or where a column becomes several inputs one normal
/// deviate for all of these (Y. Gorishniy, A. Kotelnikov, A. Babenko, "TabM: advancing tabular deep learning with
/// parameter-efficient ensembling", ICLR 2025). Other scales begin as 1.
template <typename T>
void initialize_input_scales(const ParameterArray<T>& array, const NetworkSpec& spec, std::uint64_t seed,
                             std::uint32_t number) {
  if (array.index > 0 || spec.members == 1) {
    return fill_array(array, seed, number, [](const RandomStream&, std::uint64_t) { return 1.0; });
  }
  const bool embeds = std::any_of(spec.inputs.begin(), spec.inputs.end(), [](const InputGroup& group) {
    return group.kind == InputKind::number && group.width() > 1;
  });
  std::vector<std::uint64_t> column_of;
  std::uint64_t column = 0;
  for (const InputGroup& group : spec.inputs) {
    for (std::int64_t j = 0; j < group.columns; ++j, ++column) {
      column_of.insert(column_of.end(), static_cast<std::size_t>(group.width()), column);
    }
  }
  const auto inputs = static_cast<std::uint64_t>(array.first.cols);
  fill_array(array, seed, number, [&](const RandomStream& random, std::uint64_t i) {
    if (!embeds) return random.uniform(i) < 0.5 ? -1.0 : 1.0;
    return inverse_normal_cdf(random.uniform(i / inputs * column + column_of[i % inputs]));
  });
}

}  // namespace

template <typename T>
void initialize(Mlp<T>& mlp, Initializer initializer, double parameter, std::uint64_t seed) {
  std::uint32_t number = 0;
  for (const ParameterArray<T>& array : mlp.arrays()) {
    ++number;
    if (is_of_inputs(array.kind)) {
      initialize_embedding(array, mlp.spec().inputs[array.index], seed, number);
    } else if (array.kind == ParameterKind::input_scales) {
      initialize_input_scales(array, mlp.spec(), seed, number);
    } else if (array.kind == ParameterKind::biases) {
      const double inputs = static_cast<double>(mlp.layer(array.index).weights.rows);
      const double bound = initializer == Initializer::rsqrt_uniform ? 1 / std::sqrt(inputs) : 0;
      const auto outputs = static_cast<std::uint64_t>(array.first.cols);
      fill_array(array, seed, number, [&](const RandomStream& random, std::uint64_t i) {
        return bound == 0 ? 0 : bound * (2 * random.uniform(i % outputs) - 1);
      });
    } else if (array.kind == ParameterKind::weights) {
      const RandomStream random(seed, RandomPurpose::initialization, static_cast<std::uint32_t>(array.index));
      for (std::int64_t copy = 0; copy < array.copies; ++copy) {
        const Panels<T> weights = mlp.layer(array.index).weights_of(copy);
        initialize_weights(weights, initializer, parameter, random, copy * weights.rows * weights.cols);
      }
    }
  }
}

namespace {

/// Streams of random numbers for initialize_from_samples; layer l has number l after this one.
constexpr std::uint32_t kFirstSampleStream = 1 << 25;
constexpr std::uint64_t kCombined = 5;

/// A matrix in panels that owns its memory.
template <typename T>
struct OwnedPanels {
  OwnedPanels(std::int64_t rows, std::int64_t cols, std::int64_t panel) : panels{nullptr, rows, cols, panel} {
    arena.reserve<T>(checked_product(round_up(cols, panel), rows));
    arena.allocate();
    panels.data = arena.at<T>(0);
  }
  Arena arena;
  Panels<T> panels;
};

/// The inputs of the first layer for all samples.
template <typename T>
std::unique_ptr<OwnedPanels<T>> first_inputs(const Mlp<T>& mlp, const SampleRows& samples) {
  const KernelTable<T>& kernels = mlp.kernels();
  const NetworkSpec& spec = mlp.spec();
  const std::int64_t panel = kernels.panel;
  const Range rows{0, samples.count};
  auto inputs = std::make_unique<OwnedPanels<T>>(samples.count, spec.inputs_of(0), panel);
  if (spec.inputs.empty()) {
    gather_rows(kernels, spec, samples, nullptr, 0, {}, inputs->panels, rows);
  } else {
    const OwnedPanels<T> gathered(samples.count, spec.features(), panel);
    gather_rows(kernels, spec, samples, nullptr, 0, {}, gathered.panels, rows);
    const OwnedPanels<T> columns(spec.features(), samples.count, 1);
    const OwnedPanels<T> scratch(1, input_scratch_size(kernels, mlp.input_groups(), 0), 1);
    const SampleColumns<T> taken{columns.panels.data, samples.count};
    take_columns(kernels, mlp.input_groups(), gathered.panels, rows, taken, 0);
    embed_rows(kernels, mlp.input_groups(), taken, inputs->panels, rows, scratch.panels.data);
  }
  scale_inputs(kernels, mlp.layer(0), inputs->panels, inputs->panels, rows);
  return inputs;
}

/// 1 for a constant column, whose variance is that of a rounded mean.
template <typename T>
T deviation_of(T mean, T variance) {
  constexpr T kRounding = 128 * std::numeric_limits<T>::epsilon();  // sums add blocks of 128 rows
  const T deviation = std::sqrt(variance);
  return deviation > kRounding * std::fabs(mean) ? deviation : T{1};
}

/// Divides column j of a panel of `rows` rows by divisors[j].
template <typename T>
void divide_columns(std::int64_t rows, std::int64_t width, std::int64_t panel, const T* divisors, T* values) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < width; ++j) values[row * panel + j] /= divisors[j];
  }
}

/// Minus a convex combination of random elements of a column; weights are uniform on the simplex.
template <typename T>
T bias_within(const RandomStream& random, std::uint64_t unit, std::int64_t rows, std::int64_t panel, const T* column) {
  double total = 0;
  double combination = 0;
  for (std::uint64_t i = 0; i < kCombined; ++i) {
    const std::uint64_t element = 2 * (unit * kCombined + i);
    const double weight = -portable_log(random.uniform(element));
    total += weight;
    combination += weight * static_cast<double>(column[random.below(element + 1, rows) * panel]);
  }
  return static_cast<T>(-combination / total);
}

}  // namespace

template <typename T>
void initialize_from_samples(Mlp<T>& mlp, const SampleRows& samples, std::uint64_t seed) {
  const KernelTable<T>& kernels = mlp.kernels();
  const std::int64_t rows = samples.count;
  const std::int64_t panel = kernels.panel;
  std::unique_ptr<OwnedPanels<T>> inputs = first_inputs(mlp, samples);
  for (std::size_t l = 0; l < mlp.layers().size(); ++l) {
    const DenseLayer<T>& layer = mlp.layer(l);
    const RandomStream random(seed, RandomPurpose::initialization, kFirstSampleStream + static_cast<std::uint32_t>(l));
    auto outputs = std::make_unique<OwnedPanels<T>>(rows, layer.weights.cols, panel);
    const Panels<T>& z = outputs->panels;
    for (std::int64_t p = 0; p < z.count(); ++p) {
      const std::int64_t vectors = vectors_for(kernels, z.width(p));
      kernels.gemm_nn({.rows = rows,
                       .depth = layer.weights.rows,
                       .vectors = vectors,
                       .a = inputs->panels.data,
                       .a_panel_stride = inputs->panels.stride(),
                       .b = layer.weights.at(p),
                       .c = z.at(p)});
      T means[kWidestPanel];
      T variances[kWidestPanel];
      kernels.column_moments(rows, vectors, z.at(p), means, variances);
      T deviations[kWidestPanel];
      for (std::int64_t j = 0; j < z.width(p); ++j) deviations[j] = deviation_of(means[j], variances[j]);
      divide_columns(layer.weights.rows, z.width(p), panel, deviations, layer.weights.at(p));
      divide_columns(rows, z.width(p), panel, deviations, z.at(p));
      for (std::int64_t j = 0; j < z.width(p); ++j) {
        const std::int64_t unit = p * panel + j;
        layer.bias[unit] = bias_within(random, static_cast<std::uint64_t>(unit), rows, panel, z.at(p) + j);
      }
      dense_finish<T>(kernels, layer, {z}, {}, {0, rows}, p);
    }
    if (l + 1 < mlp.layers().size()) scale_inputs(kernels, mlp.layer(l + 1), z, z, {0, rows});
    inputs = std::move(outputs);
  }
}

void shuffled_order(std::uint64_t seed, std::uint32_t epoch, std::int64_t member, std::int64_t count,
                    std::int64_t* order) {
  const RandomStream random(seed, RandomPurpose::shuffle, epoch);
  const auto first = static_cast<std::uint64_t>(member * count);
  for (std::int64_t i = 0; i < count; ++i) order[i] = i;
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(order[i], order[random.below(first + static_cast<std::uint64_t>(i), i + 1)]);
  }
}

template void initialize_from_samples(Mlp<float>&, const SampleRows&, std::uint64_t);
template void initialize_from_samples(Mlp<double>&, const SampleRows&, std::uint64_t);
template void initialize(Mlp<float>&, Initializer, double, std::uint64_t);
template void initialize(Mlp<double>&, Initializer, double, std::uint64_t);

}  // namespace fastmlp

// Initial weights, a pure function of (seed, layer, element).
#pragma once

#include <array>
#include <cstdint>

#include "network/mlp.hpp"

namespace fastmlp {

enum class Initializer : int {
  zeros,
  constant,
  normal,
  uniform,
  glorot_uniform,
  glorot_normal,
  he_uniform,
  he_normal,
  lecun_uniform,
  lecun_normal,
  orthogonal,
  count
};
inline constexpr std::array<const char*, 11> kInitializerNames = {
    "zeros",      "constant",  "normal",        "uniform",      "glorot_uniform", "glorot_normal",
    "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "orthogonal"};
static_assert(kInitializerNames.size() == static_cast<std::size_t>(Initializer::count));

/// Biases 0 and weights of mean 0 (but for constant) and variance
/// - 2 / (in + out): X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
///   networks", 2010;
/// - 2 / in: K. He et al., "Delving deep into rectifiers", 2015;
/// - 1 / in: Y. LeCun et al., "Efficient backprop", 1998;
/// - parameter^2 for normal, and between -parameter and parameter for uniform;
/// or with orthonormal rows or columns times the parameter: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to
/// the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.
template <typename T>
void initialize(Mlp<T>& mlp, Initializer initializer, double parameter, std::uint64_t seed);

/// Inverse of the standard normal distribution function, relative error about 1e-16: M. Wichura, "Algorithm
/// AS 241: the percentage points of the normal distribution", Applied Statistics 37, 1988. 0 < p < 1.
double inverse_normal_cdf(double p);

/// A random order of 0..count-1: the Fisher-Yates shuffle driven by (seed, epoch).
void shuffled_order(std::uint64_t seed, std::uint32_t epoch, std::int64_t count, std::int64_t* order);

}  // namespace fastmlp

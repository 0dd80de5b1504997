// Initial weights, a pure function of (seed, layer, element).
#pragma once

#include <array>
#include <cstdint>

#include "network/mlp.hpp"

namespace fastmlp {

/// A new initializer is one name here and one case of distribution_of in initializer.cpp.
// clang-format off
#define FASTMLP_INITIALIZERS(entry) \
  entry(zeros)                      \
  entry(constant)                   \
  entry(normal)                     \
  entry(uniform)                    \
  entry(glorot_uniform)             \
  entry(glorot_normal)              \
  entry(he_uniform)                 \
  entry(he_normal)                  \
  entry(lecun_uniform)              \
  entry(lecun_normal)               \
  entry(rsqrt_uniform)              \
  entry(orthogonal)
// clang-format on

#define FASTMLP_ENUMERATOR(name) name,
enum class Initializer : int { FASTMLP_INITIALIZERS(FASTMLP_ENUMERATOR) };
#undef FASTMLP_ENUMERATOR
#define FASTMLP_NAME(name) #name,
inline constexpr auto kInitializerNames = std::to_array<const char*>({FASTMLP_INITIALIZERS(FASTMLP_NAME)});
#undef FASTMLP_NAME

/// Sets biases to 0, draws embeddings, and draws weights of mean 0 (except constant) and variance
/// - 2 / (in + out): X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
///   networks", 2010;
/// - 2 / in: K. He et al., "Delving deep into rectifiers", 2015;
/// - 1 / in: Y. LeCun et al., "Efficient backprop", 1998;
/// - 1 / (3 in), with biases of the same variance, alike for all members: the default of PyTorch's linear layers;
/// - parameter^2 for normal, and between -parameter and parameter for uniform;
/// or with orthonormal rows or columns times the parameter: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to
/// the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.
template <typename T>
void initialize(Mlp<T>& mlp, Initializer initializer, double parameter, std::uint64_t seed);

/// Fits weights and biases to samples, layer by layer: the pre-activations x W of each unit get the deviation 1, and
/// its bias becomes minus a random convex combination of five of them, so that kinks lie where the data lie. D.
/// Holzmueller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
/// data", NeurIPS 2024. The network has one member and no batch normalization.
template <typename T>
void initialize_from_samples(Mlp<T>& mlp, const SampleRows& samples, std::uint64_t seed);

/// Inverse of the standard normal distribution function, relative error about 1e-16: M. Wichura, "Algorithm
/// AS 241: the percentage points of the normal distribution", Applied Statistics 37, 1988. 0 < p < 1.
double inverse_normal_cdf(double p);

/// A random order of 0..count-1 for a member: the Fisher-Yates shuffle driven by (seed, epoch, member).
void shuffled_order(std::uint64_t seed, std::uint32_t epoch, std::int64_t member, std::int64_t count,
                    std::int64_t* order);

}  // namespace fastmlp

// Activations. The forward pass adds the bias and applies the function; the backward pass multiplies by the derivative,
// which it computes from the stored output if the output determines it; otherwise the forward pass stores it.
// Included by table.inl.hpp only.
//
// A rule has value(z, parameter) and derivative(x, parameter): x is the output if kDerivativeFromOutput, else z.

namespace fastmlp::FASTMLP_ISA {

struct Identity {
  static constexpr bool kDerivativeFromOutput = true;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return z;
  }
  template <typename T>
  static Vec<T> derivative(Vec<T>, T) {
    return splat<T>(1);
  }
};

/// W. McCulloch, W. Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943. The parameter is the
/// derivative that backpropagation uses: 0, or 1 for the straight-through estimator (Y. Bengio, N. Leonard,
/// A. Courville, "Estimating or propagating gradients through stochastic neurons", arXiv:1308.3432, 2013).
template <int kBelow>
struct Threshold {
  static constexpr bool kDerivativeFromOutput = true;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return z > 0    ? splat<T>(1)
           : z <= 0 ? splat<T>(kBelow)
                    : z;  // NaN stays NaN, here and below, so that a diverging run shows
  }
  template <typename T>
  static Vec<T> derivative(Vec<T>, T parameter) {
    return splat<T>(parameter);
  }
};
using Step = Threshold<0>;
using Sign = Threshold<-1>;

struct Sigmoid {
  static constexpr bool kDerivativeFromOutput = true;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return sigmoid<T>(z);
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> output, T) {
    return output * (splat<T>(1) - output);
  }
};

/// The line from (-3, 0) to (3, 1), clipped to [0, 1]; the derivative at both corners is 0. (z + 3) / 6 is exact at its
/// root, where z / 6 + 1/2 would leave the rounding error of 1/6.
struct HardSigmoid {
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    const Vec<T> line = (z + splat<T>(3)) / splat<T>(6);
    return line < 0 ? Vec<T>{} : line > 1 ? splat<T>(1) : line;
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    const Vec<T> inside = z > -3 ? splat<T>(static_cast<T>(1.0 / 6)) : Vec<T>{};
    return z < 3 ? inside : Vec<T>{};
  }
};

struct Tanh {
  static constexpr bool kDerivativeFromOutput = true;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return tanh<T>(z);
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> output, T) {
    return fma(-output, output, splat<T>(1));
  }
};

struct Relu {
  static constexpr bool kDerivativeFromOutput = true;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return z <= 0 ? Vec<T>{} : z;
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> output, T) {
    return output > 0 ? splat<T>(1) : Vec<T>{};
  }
};

/// A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
struct LeakyRelu {
  static constexpr bool kDerivativeFromOutput = true;
  template <typename T>
  static Vec<T> value(Vec<T> z, T parameter) {
    return z <= 0 ? splat<T>(parameter) * z : z;
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> output, T parameter) {
    return output > 0 ? splat<T>(1) : splat<T>(parameter);
  }
};

/// D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units
/// (ELUs)", ICLR 2016.
struct Elu {
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> value(Vec<T> z, T parameter) {
    return z <= 0 ? splat<T>(parameter) * expm1<T>(z) : z;
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T parameter) {
    return z > 0 ? splat<T>(1) : splat<T>(parameter) * exp<T>(z > 0 ? -z : z);
  }
};

/// G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks", NeurIPS 2017.
struct Selu {
  static constexpr double kScale = 1.0507009873554804934;
  static constexpr double kAlpha = 1.6732632423543772848;
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return splat<T>(static_cast<T>(kScale)) * Elu::value<T>(z, static_cast<T>(kAlpha));
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    return splat<T>(static_cast<T>(kScale)) * Elu::derivative<T>(z, static_cast<T>(kAlpha));
  }
};

/// z Phi(z), Phi the standard normal distribution function: D. Hendrycks, K. Gimpel, "Gaussian error linear units
/// (GELUs)", arXiv:1606.08415, 2016.
struct Gelu {
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return z * normal_cdf<T>(z);
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    constexpr double kInverseRootTwoPi = 0.39894228040143267794;
    const Vec<T> density = splat<T>(static_cast<T>(kInverseRootTwoPi)) * exp_half_square<T>(z);
    return fma(z, density, normal_cdf<T>(z));
  }
};

/// The approximation z (1 + tanh u) / 2 of the GELU paper, computed as z sigmoid(2 u): 1 + tanh u cancels for negative
/// z.
struct GeluTanh {
  static constexpr double kFactor = 2 * 0.79788456080286535588;  // 2 sqrt(2 / pi)
  static constexpr double kCubic = 0.044715;
  static constexpr int kSaturation = 40;  // beyond it the derivative is 0 or 1; squares do not overflow
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> twice_u(Vec<T> z) {
    return splat<T>(static_cast<T>(kFactor)) * z * fma(splat<T>(static_cast<T>(kCubic)), z * z, splat<T>(1));
  }
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return z * sigmoid<T>(twice_u<T>(z));
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    z = z > kSaturation ? splat<T>(kSaturation) : z < -kSaturation ? splat<T>(-kSaturation) : z;
    const Vec<T> exponent = twice_u<T>(z);
    const LogisticPair<T> pair = logistic_pair<T>(exponent);
    const Vec<T> inner =
        splat<T>(static_cast<T>(kFactor)) * fma(splat<T>(static_cast<T>(3 * kCubic)), z * z, splat<T>(1));
    return fma(z * pair.larger * pair.smaller, inner, exponent < 0 ? pair.smaller : pair.larger);
  }
};

/// z sigmoid(z): the GELU paper; P. Ramachandran, B. Zoph, Q. Le, "Searching for activation functions", 2017.
struct Silu {
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return z * sigmoid<T>(z);
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    const LogisticPair<T> pair = logistic_pair<T>(z);
    const Vec<T> s = z < 0 ? pair.smaller : pair.larger;
    const Vec<T> rest = z < 0 ? pair.larger : pair.smaller;  // 1 - s
    return s * fma(z, rest, splat<T>(1));
  }
};

/// log(1 + e^z): C. Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2001.
struct Softplus {
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    return softplus<T>(z);
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    return sigmoid<T>(z);
  }
};

/// z tanh(log(1 + e^z)): D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020. With
/// e = e^-|z| the hyperbolic tangent is (1 + 2 e) / (1 + 2 e + 2 e^2) above zero and (e^2 + 2 e) / (e^2 + 2 e + 2)
/// below, and its derivative by z has numerators without a difference.
struct Mish {
  static constexpr bool kDerivativeFromOutput = false;
  template <typename T>
  struct Quotient {
    Vec<T> exponential;
    Vec<T> numerator;
    Vec<T> denominator;
  };
  template <typename T>
  static Quotient<T> tanh_of_softplus(Vec<T> z) {
    const Vec<T> e = exp<T>(z < 0 ? z : -z);
    const Vec<T> numerator = z < 0 ? e * (e + splat<T>(2)) : fma(splat<T>(2), e, splat<T>(1));
    const Vec<T> rest = z < 0 ? splat<T>(2) : splat<T>(2) * e * e;
    return {e, numerator, numerator + rest};
  }
  template <typename T>
  static Vec<T> value(Vec<T> z, T) {
    const Quotient<T> q = tanh_of_softplus<T>(z);
    return z * (q.numerator / q.denominator);
  }
  template <typename T>
  static Vec<T> derivative(Vec<T> z, T) {
    const Quotient<T> q = tanh_of_softplus<T>(z);
    const Vec<T> e = q.exponential;
    const Vec<T> scaled = z < 0 ? e : e * e;
    const Vec<T> rate = splat<T>(4) * scaled * (splat<T>(1) + e) / (q.denominator * q.denominator);
    return fma(z, rate, q.numerator / q.denominator);
  }
};

template <typename T, typename Rule, bool kWritesDerivatives>
static inline void activate_rows(std::int64_t rows, std::int64_t vectors, T parameter, const T* bias, T* z,
                                 T* derivatives) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      const Vec<T> input = load(z + at) + load(bias + j * kLanes<T>);
      const Vec<T> output = Rule::template value<T>(input, parameter);
      store(z + at, output);
      if constexpr (kWritesDerivatives) {
        store(derivatives + at, Rule::template derivative<T>(Rule::kDerivativeFromOutput ? output : input, parameter));
      }
    }
  }
}

template <typename T, typename Rule>
static void activate(std::int64_t rows, std::int64_t vectors, T parameter, const T* bias, T* z, T* derivatives) {
  if (derivatives == nullptr) {
    activate_rows<T, Rule, false>(rows, vectors, parameter, bias, z, derivatives);
  } else {
    activate_rows<T, Rule, true>(rows, vectors, parameter, bias, z, derivatives);
  }
}

template <typename T, typename Rule>
static void activate_backward(std::int64_t rows, std::int64_t vectors, T parameter, const T* output, T* gradient) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      store(gradient + at, load(gradient + at) * Rule::template derivative<T>(load(output + at), parameter));
    }
  }
}

template <typename T>
static void multiply(std::int64_t rows, std::int64_t vectors, const T* derivatives, T* gradient) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      store(gradient + at, load(gradient + at) * load(derivatives + at));
    }
  }
}

/// from + mix * (to - from), exact at both ends.
template <typename T>
static inline Vec<T> mixed(Vec<T> mix, Vec<T> from, Vec<T> to) {
  return fma(mix, to, fma(-mix, from, from));
}

template <typename T, typename Rule, bool kTrains>
static inline void activate_mixed_rows(std::int64_t rows, std::int64_t vectors, T parameter, const T* bias,
                                       const T* mixes, T* z, T* derivatives, T* residues) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t lane = j * kLanes<T>;
      const std::int64_t at = row * kPanel<T> + lane;
      const Vec<T> mix = load(mixes + lane);
      const Vec<T> input = load(z + at) + load(bias + lane);
      const Vec<T> activated = Rule::template value<T>(input, parameter);
      store(z + at, mixed<T>(mix, input, activated));
      if constexpr (kTrains) {
        const Vec<T> derivative =
            Rule::template derivative<T>(Rule::kDerivativeFromOutput ? activated : input, parameter);
        store(derivatives + at, mixed<T>(mix, splat<T>(1), derivative));
        store(residues + at, activated - input);
      }
    }
  }
}

template <typename T, typename Rule>
static void activate_mixed(std::int64_t rows, std::int64_t vectors, T parameter, const T* bias, const T* mixes, T* z,
                           T* derivatives, T* residues) {
  if (derivatives == nullptr) {
    activate_mixed_rows<T, Rule, false>(rows, vectors, parameter, bias, mixes, z, derivatives, residues);
  } else {
    activate_mixed_rows<T, Rule, true>(rows, vectors, parameter, bias, mixes, z, derivatives, residues);
  }
}

template <typename T>
static void multiply_mixed(std::int64_t rows, std::int64_t vectors, const T* derivatives, T* residues, T* gradient) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      const Vec<T> g = load(gradient + at);
      store(residues + at, load(residues + at) * g);
      store(gradient + at, g * load(derivatives + at));
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA

// Losses that are sums over the outputs of a function of one output and one target. Included by table.inl.hpp only.
//
// A rule has apply(o, t, p, loss, derivative): the loss of output o with target t and parameter p, and dloss/do.
// kClasses: outputs are logits of yes or no, and a row is correct when all of them lie on the target's side.

namespace fastmlp::FASTMLP_ISA {

/// The common loop of these losses; Rule is the struct of the loss.
template <typename Rule>
struct ElementwiseLoss {
  static constexpr bool kClasses = false;
  template <typename T>
  static void measure(const LossCall<T>& call) {
    for (std::int64_t row = 0; row < call.rows; ++row) {
      const T* values = call.values + row * kPanel<T>;
      const std::int64_t sample = call.index == nullptr ? row : call.index[row];
      const T* targets = call.targets + sample * call.outputs;
      const T sample_weight = call.sample_weights == nullptr ? T{1} : call.sample_weights[sample];
      T* gradient = call.gradient == nullptr ? nullptr : call.gradient + row * kPanel<T>;
      Lanes16<T> sums = Lanes16<T>::filled(0);
      Lanes16<T> wrong = Lanes16<T>::filled(0);
      for_each_group<T>(call.outputs, call.panel_stride, [&](std::int64_t at, std::int64_t j, std::int64_t left) {
        T wanted[16] = {};
        for (std::int64_t i = 0; i < (left < 16 ? left : 16); ++i) wanted[i] = targets[j + i];
        const Lanes16<T> target = Lanes16<T>::from(wanted);
        const Lanes16<T> output = Lanes16<T>::from(values + at);
        const Lanes16<T> parameter = Lanes16<T>::from(call.parameters + j);
        const Lanes16<T> weight = Lanes16<T>::from(call.output_weights + j);
        Lanes16<T> loss;
        Lanes16<T> derivative;
        Lanes16<T> miss = Lanes16<T>::filled(0);
        for (int i = 0; i < Lanes16<T>::kCount; ++i) {
          Rule::template apply<T>(output.part[i], target.part[i], parameter.part[i], loss.part[i], derivative.part[i]);
          loss.part[i] *= weight.part[i];
          derivative.part[i] *= weight.part[i] * splat<T>(call.scale * sample_weight);
          if constexpr (Rule::kClasses) {
            const Vec<T> side = output.part[i] > 0 ? splat<T>(1) : Vec<T>{};
            const Vec<T> right = target.part[i] > static_cast<T>(0.5) ? splat<T>(1) : Vec<T>{};
            miss.part[i] = side == right ? Vec<T>{} : splat<T>(1);
          }
        }
        loss = keep_first(loss, left, T{0});
        miss = keep_first(miss, left, T{0});
        for (int i = 0; i < Lanes16<T>::kCount; ++i) {
          sums.part[i] += loss.part[i];
          wrong.part[i] += miss.part[i];
        }
        if (gradient != nullptr) keep_first(derivative, left, T{0}).to(gradient + at);
      });
      const auto add = [](Vec<T> a, Vec<T> b) { return a + b; };
      call.row_loss[row] = sample_weight * reduce16(sums, add);
      call.correct[row] = Rule::kClasses && reduce16(wrong, add) == 0;
    }
  }
};

struct SquaredError : ElementwiseLoss<SquaredError> {
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T>, Vec<T>& loss, Vec<T>& derivative) {
    const Vec<T> difference = o - t;
    loss = difference * difference;
    derivative = splat<T>(2) * difference;
  }
};

struct HalfSquaredError : ElementwiseLoss<HalfSquaredError> {
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T>, Vec<T>& loss, Vec<T>& derivative) {
    derivative = o - t;
    loss = splat<T>(static_cast<T>(0.5)) * derivative * derivative;
  }
};

struct AbsoluteError : ElementwiseLoss<AbsoluteError> {
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T>, Vec<T>& loss, Vec<T>& derivative) {
    const Vec<T> difference = o - t;
    loss = difference < 0 ? -difference : difference;
    derivative = difference > 0 ? splat<T>(1) : difference < 0 ? splat<T>(-1) : difference;
  }
};

/// P. Huber, "Robust estimation of a location parameter", 1964; the parameter is delta.
struct HuberLoss : ElementwiseLoss<HuberLoss> {
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T> p, Vec<T>& loss, Vec<T>& derivative) {
    const Vec<T> half = splat<T>(static_cast<T>(0.5));
    const Vec<T> difference = o - t;
    const Vec<T> size = difference < 0 ? -difference : difference;
    loss = size > p ? p * (size - half * p) : half * difference * difference;
    derivative = difference > p ? p : difference < -p ? -p : difference;
  }
};

/// Negative log-likelihood of counts t with rate e^o, without the term that depends on t alone.
struct PoissonLoss : ElementwiseLoss<PoissonLoss> {
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T>, Vec<T>& loss, Vec<T>& derivative) {
    const Vec<T> rate = exp<T>(o);
    loss = fma(-t, o, rate);
    derivative = rate - t;
  }
};

/// R. Koenker, G. Bassett, "Regression quantiles", 1978; the parameter is the level.
struct QuantileLoss : ElementwiseLoss<QuantileLoss> {
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T> p, Vec<T>& loss, Vec<T>& derivative) {
    const Vec<T> excess = t - o;
    derivative = excess > 0 ? -p : excess < 0 ? splat<T>(1) - p : excess;
    loss = -derivative * excess;
  }
};

/// On logits: -t log s - (1 - t) log(1 - s), s = sigmoid(o).
struct BinaryCrossEntropy : ElementwiseLoss<BinaryCrossEntropy> {
  static constexpr bool kClasses = true;
  template <typename T>
  static void apply(Vec<T> o, Vec<T> t, Vec<T>, Vec<T>& loss, Vec<T>& derivative) {
    // softplus in two parts: t o may cancel the large one, and the small one keeps its digits.
    loss = fma(-t, o, o < 0 ? Vec<T>{} : o) + log1p<T>(exp<T>(o < 0 ? o : -o));
    // s - t from the smaller of s and 1 - s, so that it keeps its digits where s nears t = 1.
    const Vec<T> smaller = logistic_pair<T>(o).smaller;
    derivative = o < 0 ? smaller - t : (splat<T>(1) - t) - smaller;
  }
};

}  // namespace fastmlp::FASTMLP_ISA

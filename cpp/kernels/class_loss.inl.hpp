// Losses whose target is a class: value, gradient and correctness of each row in one pass over its outputs, while they
// are in cache. Included by table.inl.hpp only. I. Goodfellow, Y. Bengio, A. Courville, "Deep
// Learning", 2016, sections 6.2 (output units and losses) and 4.1 (log-sum-exp).

namespace fastmlp::FASTMLP_ISA {

/// Number of rows ahead whose labels are prefetched.
constexpr std::int64_t kLabelsAhead = 16;

/// Returns the sample of a row of the call.
template <typename T>
static inline std::int64_t sample_of(const LossCall<T>& call, std::int64_t row) {
  return call.index == nullptr ? row : call.index[row];
}
template <typename T>
static inline T weight_of(const LossCall<T>& call, std::int64_t sample) {
  return call.sample_weights == nullptr ? T{1} : call.sample_weights[sample];
}

/// Targets j..j+15 of a sample as shares of its classes, some of it spread over all (C. Szegedy et al., "Rethinking
/// the Inception architecture for computer vision", 2016, section 7).
template <typename T>
static inline Lanes16<T> smoothed_targets(const LossCall<T>& call, std::int64_t sample, std::int64_t j,
                                          std::int64_t left) {
  T shares[16] = {};
  const T spread = call.smoothing / static_cast<T>(call.outputs);
  for (std::int64_t i = 0; i < (left < 16 ? left : 16); ++i) {
    T share = 0;
    if (call.classes != nullptr) {
      share = call.classes[sample] == j + i ? T{1} : T{0};
    } else {
      share = call.targets[sample * call.outputs + j + i];
    }
    shares[i] = (T{1} - call.smoothing) * share + spread;
  }
  return Lanes16<T>::from(shares);
}

/// Returns the address of output j of a row.
template <typename T>
static inline std::int64_t place_of(const LossCall<T>& call, std::int64_t j) {
  return j / kPanel<T> * call.panel_stride + j % kPanel<T>;
}

template <typename T>
static inline std::int64_t wanted_class(const LossCall<T>& call, std::int64_t sample) {
  if (call.classes != nullptr) return call.classes[sample];
  const T* shares = call.targets + sample * call.outputs;
  std::int64_t best = 0;
  for (std::int64_t j = 1; j < call.outputs; ++j) best = shares[j] > shares[best] ? j : best;
  return best;
}

/// The targets t_j of a row of softmax cross-entropy whose first maximum is output m.
template <typename T>
struct SoftTargets {
  T at_maximum;  // t_m
  T rest;        // sum of the others
  T gap;         // sum_j t_j (z_m - z_j)
};

template <typename T>
static inline SoftTargets<T> soft_targets(const LossCall<T>& call, std::int64_t sample, const T* values, T maximum,
                                          std::int64_t m) {
  Lanes16<T> rest = Lanes16<T>::filled(0);
  Lanes16<T> gap = Lanes16<T>::filled(0);
  T at_maximum = 0;
  for_each_group<T>(call.outputs, call.panel_stride, [&](std::int64_t at, std::int64_t j, std::int64_t left) {
    const Lanes16<T> target = smoothed_targets(call, sample, j, left);
    const Lanes16<T> other = without_lane(target, m - j);
    const Lanes16<T> value = keep_first(Lanes16<T>::from(values + at), left, maximum);
    for (int i = 0; i < Lanes16<T>::kCount; ++i) {
      rest.part[i] += other.part[i];
      gap.part[i] = fma(target.part[i], splat<T>(maximum) - value.part[i], gap.part[i]);
    }
    if (m >= j && m < j + 16) at_maximum = target.part[(m - j) / kLanes<T>][(m - j) % kLanes<T>];
  });
  const auto add = [](Vec<T> a, Vec<T> b) { return a + b; };
  return {at_maximum, reduce16(rest, add), reduce16(gap, add)};
}

/// Like soft_targets for a single class, without a branch, because which rows are right cannot be predicted.
template <typename T>
static inline SoftTargets<T> hard_targets(bool right, T gap) {
  const auto at_maximum = static_cast<T>(right);
  return {at_maximum, T{1} - at_maximum, gap};
}

/// gradient -= factor * targets.
template <typename T>
static inline void subtract_targets(const LossCall<T>& call, std::int64_t sample, T factor, T* gradient) {
  for_each_group<T>(call.outputs, call.panel_stride, [&](std::int64_t at, std::int64_t j, std::int64_t left) {
    const Lanes16<T> target = smoothed_targets(call, sample, j, left);
    Lanes16<T> group = Lanes16<T>::from(gradient + at);
    for (int i = 0; i < Lanes16<T>::kCount; ++i) group.part[i] = fma(splat<T>(-factor), target.part[i], group.part[i]);
    group.to(gradient + at);
  });
}

/// loss = sum_j t_j (log(sum_k e^z_k) - z_j); dloss/dz = softmax(z) sum_j t_j - t, where t is 1 for the class.
///
/// Both are written from s, the sum of e^(z_j - z_m) over all outputs but the first maximum m: the logarithm is
/// z_m + log1p(s), and 1 - p_m is s / (1 + s). So a row with a probability near 1 for the right class keeps its digits.
struct SoftmaxCrossEntropy {
  template <typename T>
  static void measure(const LossCall<T>& call) {
    const bool soft = call.classes == nullptr || call.smoothing != 0;
    T gap[kLanes<T>] = {};
    T mass[kLanes<T>] = {};
    T sum[kLanes<T>] = {};
    T weight[kLanes<T>] = {};
    for (std::int64_t row = 0; row < call.rows; ++row) {
      const T* values = call.values + row * kPanel<T>;
      T* gradient = call.gradient == nullptr ? nullptr : call.gradient + row * kPanel<T>;
      // Samples come in random order, which the hardware does not prefetch.
      if (!soft && call.index != nullptr && row + kLabelsAhead < call.rows)
        __builtin_prefetch(call.classes + call.index[row + kLabelsAhead]);
      const T maximum = row_maximum(call.outputs, values, call.panel_stride);
      const std::int64_t sample = sample_of(call, row);
      const std::int64_t label = wanted_class(call, sample);
      const std::int64_t label_at = place_of(call, label);
      const std::int64_t m = first_equal(call.outputs, values, call.panel_stride, maximum);
      call.correct[row] = m == label;
      // The logarithms of several rows are taken together.
      const auto lane = static_cast<int>(row % kLanes<T>);
      const SoftTargets<T> wanted =
          soft ? soft_targets(call, sample, values, maximum, m) : hard_targets(m == label, maximum - values[label_at]);
      mass[lane] = wanted.at_maximum + wanted.rest;
      gap[lane] = wanted.gap;
      weight[lane] = weight_of(call, sample);
      sum[lane] = shifted_exponentials(call.outputs, values, gradient, call.panel_stride, maximum, m);
      if (lane + 1 == kLanes<T> || row + 1 == call.rows) {
        T losses[kLanes<T>];
        store(losses, load(weight) * fma(load(mass), log1p<T>(load(sum)), load(gap)));
        for (int i = 0; i <= lane; ++i) call.row_loss[row - lane + i] = losses[i];
      }
      if (gradient == nullptr) continue;
      const T scale = call.scale * weight[lane];
      const T share = scale / (T{1} + sum[lane]);  // scaled probability of the maximum
      scale_row(call.outputs, gradient, call.panel_stride, share * mass[lane]);
      if (soft) {
        subtract_targets(call, sample, scale, gradient);
      } else {
        gradient[label_at] -= scale;
      }
      gradient[place_of(call, m)] = share * (wanted.rest - wanted.at_maximum * sum[lane]);
    }
  }
};

/// loss = sum over j != y of max(0, z_j - z_y + 1): J. Weston, C. Watkins, "Support vector machines for multi-class
/// pattern recognition", 1999.
struct Hinge {
  template <typename T>
  static void measure(const LossCall<T>& call) {
    const auto add = [](Vec<T> a, Vec<T> b) { return a + b; };
    for (std::int64_t row = 0; row < call.rows; ++row) {
      const T* values = call.values + row * kPanel<T>;
      T* gradient = call.gradient == nullptr ? nullptr : call.gradient + row * kPanel<T>;
      const std::int64_t sample = sample_of(call, row);
      const std::int64_t label = call.classes[sample];
      const std::int64_t label_at = place_of(call, label);
      const T maximum = row_maximum(call.outputs, values, call.panel_stride);
      call.correct[row] = first_equal(call.outputs, values, call.panel_stride, maximum) == label;
      const T weight = weight_of(call, sample);
      const T scale = call.scale * weight;
      Lanes16<T> margins = Lanes16<T>::filled(0);
      Lanes16<T> violated = Lanes16<T>::filled(0);
      for_each_group<T>(call.outputs, call.panel_stride, [&](std::int64_t at, std::int64_t j, std::int64_t left) {
        Lanes16<T> margin = Lanes16<T>::from(values + at);
        for (auto& part : margin.part) part = part - splat<T>(values[label_at]) + splat<T>(1);
        margin = keep_first(margin, left, T{0});
        // The row's own class would have margin 1 and is not counted.
        if (label >= j && label < j + 16) margin.part[(label - j) / kLanes<T>][(label - j) % kLanes<T>] = 0;
        Lanes16<T> derivative;
        for (int i = 0; i < Lanes16<T>::kCount; ++i) {
          derivative.part[i] = margin.part[i] > 0 ? splat<T>(1) : Vec<T>{};
          margins.part[i] += margin.part[i] <= 0 ? Vec<T>{} : margin.part[i];
          violated.part[i] += derivative.part[i];
          derivative.part[i] *= splat<T>(scale);
        }
        if (gradient != nullptr) derivative.to(gradient + at);
      });
      call.row_loss[row] = weight * reduce16(margins, add);
      if (gradient != nullptr) gradient[label_at] = -scale * reduce16(violated, add);
    }
  }
};

}  // namespace fastmlp::FASTMLP_ISA

// Losses: value, gradient and prediction of each row in one pass over the outputs while they are in cache.
// Included by table.inl.hpp only. I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, sections 6.2
// (output units and losses) and 4.1 (log-sum-exp).

namespace fastmlp::FASTMLP_ISA {

/// Distance at which labels are fetched.
constexpr std::int64_t kLabelsAhead = 16;

/// Visits a row's outputs in groups of 16: visit(address offset, first output, outputs left).
template <typename T, typename Visit>
static inline void for_each_group(std::int64_t outputs, std::int64_t panel_stride, Visit visit) {
  for (std::int64_t j = 0; j < outputs; j += 16) {
    visit(j / kPanel<T> * panel_stride + j % kPanel<T>, j, outputs - j);
  }
}

/// Lanes at or beyond `count` replaced by `filler`.
template <typename T>
static inline Lanes16<T> keep_first(Lanes16<T> lanes, std::int64_t count, T filler) {
  if (count >= 16) return lanes;
  for (int i = 0; i < Lanes16<T>::kCount; ++i) {
    const Vec<T> number = lane_numbers<T>() + splat<T>(static_cast<T>(i * kLanes<T>));
    lanes.part[i] = number < splat<T>(static_cast<T>(count)) ? lanes.part[i] : splat<T>(filler);
  }
  return lanes;
}

template <typename T>
static inline T row_maximum(std::int64_t outputs, const T* values, std::int64_t panel_stride) {
  const T lowest = -static_cast<T>(__builtin_inf());
  Lanes16<T> best = Lanes16<T>::filled(lowest);
  for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t left) {
    const Lanes16<T> group = keep_first(Lanes16<T>::from(values + at), left, lowest);
    for (int i = 0; i < Lanes16<T>::kCount; ++i) {
      best.part[i] = best.part[i] > group.part[i] ? best.part[i] : group.part[i];
    }
  });
  return reduce16(best, [](Vec<T> a, Vec<T> b) { return a > b ? a : b; });
}

/// First output that equals the row's maximum; 0 when a NaN hides it.
template <typename T>
static inline std::int32_t first_equal(std::int64_t outputs, const T* values, std::int64_t panel_stride, T wanted) {
  std::int32_t found = -1;
  for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t first, std::int64_t left) {
    if (found >= 0) return;
    constexpr T kNone = 16;
    const Lanes16<T> group = keep_first(Lanes16<T>::from(values + at), left, static_cast<T>(__builtin_nan("")));
    Lanes16<T> lane = Lanes16<T>::filled(kNone);
    for (int i = 0; i < Lanes16<T>::kCount; ++i) {
      const Vec<T> number = lane_numbers<T>() + splat<T>(static_cast<T>(i * kLanes<T>));
      lane.part[i] = group.part[i] == splat<T>(wanted) ? number : lane.part[i];
    }
    const T lowest = reduce16(lane, [](Vec<T> a, Vec<T> b) { return a < b ? a : b; });
    if (lowest < kNone) found = static_cast<std::int32_t>(first) + static_cast<std::int32_t>(lowest);
  });
  return found < 0 ? 0 : found;
}

/// to = e^(values - maximum) lane by lane; returns the sum. `to` may be `values`.
template <typename T>
static inline T shifted_exponentials(std::int64_t outputs, const T* values, T* to, std::int64_t panel_stride,
                                     T maximum) {
  Lanes16<T> sums = Lanes16<T>::filled(0);
  for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t left) {
    Lanes16<T> group = Lanes16<T>::from(values + at);
    for (auto& part : group.part) part = exp<T>(part - splat<T>(maximum));
    group = keep_first(group, left, T{0});
    for (int i = 0; i < Lanes16<T>::kCount; ++i) sums.part[i] += group.part[i];
    if (to != nullptr) group.to(to + at);
  });
  return reduce16(sums, [](Vec<T> a, Vec<T> b) { return a + b; });
}

template <typename T>
static inline void scale_row(std::int64_t outputs, T* values, std::int64_t panel_stride, T factor) {
  for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t) {
    Lanes16<T> group = Lanes16<T>::from(values + at);
    for (auto& part : group.part) part *= splat<T>(factor);
    group.to(values + at);
  });
}

/// loss = log(sum_j e^z_j) - z_y; dloss/dz = softmax(z) - onehot(y).
template <typename T>
static void softmax_cross_entropy(const LossCall<T>& call) {
  const auto* labels = static_cast<const std::int64_t*>(call.targets);
  T gap[kLanes<T>] = {};
  T sum[kLanes<T>] = {};
  for (std::int64_t row = 0; row < call.rows; ++row) {
    const T* values = call.values + row * kPanel<T>;
    T* gradient = call.gradient == nullptr ? nullptr : call.gradient + row * kPanel<T>;
    // The order is random, so no hardware sees the labels coming.
    if (call.index != nullptr && row + kLabelsAhead < call.rows)
      __builtin_prefetch(labels + call.index[row + kLabelsAhead]);
    const T maximum = row_maximum(call.outputs, values, call.panel_stride);
    const std::int64_t label = labels[call.index == nullptr ? row : call.index[row]];
    const std::int64_t label_at = label / kPanel<T> * call.panel_stride + label % kPanel<T>;
    call.predicted[row] = first_equal(call.outputs, values, call.panel_stride, maximum);
    // The logarithms of several rows are taken together.
    const auto lane = static_cast<int>(row % kLanes<T>);
    gap[lane] = maximum - values[label_at];
    sum[lane] = shifted_exponentials(call.outputs, values, gradient, call.panel_stride, maximum);
    if (lane + 1 == kLanes<T> || row + 1 == call.rows) {
      T losses[kLanes<T>];
      store(losses, log<T>(load(sum)) + load(gap));
      for (int i = 0; i <= lane; ++i) call.row_loss[row - lane + i] = losses[i];
    }
    if (gradient == nullptr) continue;
    scale_row(call.outputs, gradient, call.panel_stride, call.scale / sum[lane]);
    gradient[label_at] -= call.scale;
  }
}

/// loss = sum_j (o_j - t_j)^2; dloss/do = 2 (o - t).
template <typename T>
static void mse(const LossCall<T>& call) {
  for (std::int64_t row = 0; row < call.rows; ++row) {
    const T* values = call.values + row * kPanel<T>;
    const std::int64_t sample = call.index == nullptr ? row : call.index[row];
    const T* targets = static_cast<const T*>(call.targets) + sample * call.outputs;
    T* gradient = call.gradient == nullptr ? nullptr : call.gradient + row * kPanel<T>;
    Lanes16<T> sums = Lanes16<T>::filled(0);
    for_each_group<T>(call.outputs, call.panel_stride, [&](std::int64_t at, std::int64_t j, std::int64_t left) {
      T wanted[16] = {};
      for (std::int64_t i = 0; i < (left < 16 ? left : 16); ++i) wanted[i] = targets[j + i];
      const Lanes16<T> target = Lanes16<T>::from(wanted);
      Lanes16<T> difference = Lanes16<T>::from(values + at);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) difference.part[i] -= target.part[i];
      difference = keep_first(difference, left, T{0});
      for (int i = 0; i < Lanes16<T>::kCount; ++i) {
        sums.part[i] = fma(difference.part[i], difference.part[i], sums.part[i]);
        difference.part[i] *= splat<T>(2 * call.scale);
      }
      if (gradient != nullptr) difference.to(gradient + at);
    });
    call.row_loss[row] = reduce16(sums, [](Vec<T> a, Vec<T> b) { return a + b; });
  }
}

template <typename T>
static void softmax(std::int64_t rows, std::int64_t outputs, T* values, std::int64_t panel_stride) {
  for (std::int64_t row = 0; row < rows; ++row, values += kPanel<T>) {
    const T maximum = row_maximum<T>(outputs, values, panel_stride);
    const T sum = shifted_exponentials<T>(outputs, values, values, panel_stride, maximum);
    scale_row<T>(outputs, values, panel_stride, T{1} / sum);
  }
}

template <typename T>
static void argmax(std::int64_t rows, std::int64_t outputs, const T* values, std::int64_t panel_stride,
                   std::int32_t* predicted) {
  for (std::int64_t row = 0; row < rows; ++row, values += kPanel<T>) {
    predicted[row] = first_equal(outputs, values, panel_stride, row_maximum(outputs, values, panel_stride));
  }
}

}  // namespace fastmlp::FASTMLP_ISA

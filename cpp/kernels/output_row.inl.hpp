// Tools for one row of outputs: groups of 16 virtual lanes, the maximum, exponentials; softmax and argmax.
// Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

/// Visits a row's outputs in groups of 16: visit(address offset, first output, outputs left).
template <typename T, typename Visit>
static inline void for_each_group(std::int64_t outputs, std::int64_t panel_stride, Visit visit) {
  for (std::int64_t j = 0; j < outputs; j += 16) {
    visit(j / kPanel<T> * panel_stride + j % kPanel<T>, j, outputs - j);
  }
}

/// Replaces lanes at or beyond `count` by `filler`.
template <typename T>
static inline Lanes16<T> keep_first(Lanes16<T> lanes, std::int64_t count, T filler) {
  if (count >= 16) return lanes;
  for (int i = 0; i < Lanes16<T>::kCount; ++i) {
    const Vec<T> number = lane_numbers<T>() + splat<T>(static_cast<T>(i * kLanes<T>));
    lanes.part[i] = number < splat<T>(static_cast<T>(count)) ? lanes.part[i] : splat<T>(filler);
  }
  return lanes;
}

/// Replaces lane `lane` by 0; no lane if it is not one of the 16.
template <typename T>
static inline Lanes16<T> without_lane(Lanes16<T> lanes, std::int64_t lane) {
  if (lane < 0 || lane >= 16) return lanes;
  for (int i = 0; i < Lanes16<T>::kCount; ++i) {
    const Vec<T> number = lane_numbers<T>() + splat<T>(static_cast<T>(i * kLanes<T>));
    lanes.part[i] = number == splat<T>(static_cast<T>(lane)) ? Vec<T>{} : lanes.part[i];
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

/// Returns the first output that equals the row's maximum; 0 if none does because of a NaN.
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

/// to = e^(values - maximum) lane by lane, 0 at output `skipped`; returns the sum. `to` may be `values`. skipped -1:
/// every output counts.
template <typename T>
static inline T shifted_exponentials(std::int64_t outputs, const T* values, T* to, std::int64_t panel_stride, T maximum,
                                     std::int64_t skipped) {
  Lanes16<T> sums = Lanes16<T>::filled(0);
  for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t first, std::int64_t left) {
    Lanes16<T> group = Lanes16<T>::from(values + at);
    for (auto& part : group.part) part = exp<T>(part - splat<T>(maximum));
    group = without_lane(keep_first(group, left, T{0}), skipped - first);
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

template <typename T>
static void softmax(std::int64_t rows, std::int64_t outputs, T* values, std::int64_t panel_stride) {
  for (std::int64_t row = 0; row < rows; ++row, values += kPanel<T>) {
    const T maximum = row_maximum<T>(outputs, values, panel_stride);
    const T sum = shifted_exponentials<T>(outputs, values, values, panel_stride, maximum, -1);
    scale_row<T>(outputs, values, panel_stride, T{1} / sum);
  }
}

/// dz_j = p_j (dp_j - sum_k p_k dp_k).
template <typename T>
static void softmax_backward(std::int64_t rows, std::int64_t outputs, const T* probabilities, T* gradient,
                             std::int64_t panel_stride) {
  for (std::int64_t row = 0; row < rows; ++row, probabilities += kPanel<T>, gradient += kPanel<T>) {
    Lanes16<T> products = Lanes16<T>::filled(0);
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t left) {
      const Lanes16<T> p = keep_first(Lanes16<T>::from(probabilities + at), left, T{0});
      const Lanes16<T> dp = Lanes16<T>::from(gradient + at);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) products.part[i] = fma(p.part[i], dp.part[i], products.part[i]);
    });
    const T mean = reduce16(products, [](Vec<T> a, Vec<T> b) { return a + b; });
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t left) {
      const Lanes16<T> p = Lanes16<T>::from(probabilities + at);
      Lanes16<T> group = Lanes16<T>::from(gradient + at);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) group.part[i] = p.part[i] * (group.part[i] - splat<T>(mean));
      keep_first(group, left, T{0}).to(gradient + at);
    });
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

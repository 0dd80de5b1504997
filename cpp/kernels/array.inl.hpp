// Functions on consecutive elements of an array. Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

template <typename T, Vec<T> (*function)(Vec<T>)>
static void apply_elementwise(std::int64_t n, const T* x, T* y) {
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(y + i, function(load(x + i)));
  if (i == n) return;
  T tail[kLanes<T>] = {};
  for (std::int64_t j = i; j < n; ++j) tail[j - i] = x[j];
  store(tail, function(load(tail)));
  for (std::int64_t j = i; j < n; ++j) y[j] = tail[j - i];
}

template <typename T>
static bool all_finite(std::int64_t n, const T* x) {
  // x - x is 0 for finite x and NaN otherwise; a NaN in any lane survives the sum.
  Vec<T> sum{};
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) sum += load(x + i) - load(x + i);
  T total = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) total += sum[lane];
  for (; i < n; ++i) total += x[i] - x[i];
  return total == 0;
}

template <typename T>
static void clip(std::int64_t n, T factor, T bound, T* gradient) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    Vec<T> g = load(gradient + i) * splat<T>(factor);
    g = g > bound ? splat<T>(bound) : g;
    store(gradient + i, g < -bound ? splat<T>(-bound) : g);
  }
}

template <typename T>
static void move_averages(std::int64_t n, T decay, const T* values, T* averages) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    Vec<T> average = load(averages + i);
    move_average(average, decay, load(values + i));
    store(averages + i, average);
  }
}

}  // namespace fastmlp::FASTMLP_ISA

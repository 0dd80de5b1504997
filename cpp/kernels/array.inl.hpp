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

/// Calls visit(address, elements) for the vectors of an array; the last may have fewer elements than lanes.
template <typename T, typename Visit>
static inline void for_each_vector(std::int64_t n, Visit visit) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) visit(i, n - i < kLanes<T> ? n - i : kLanes<T>);
}

/// The parts of x / sqrt(1 + (x / bound)^2): the smaller of |x| and bound, and its quotient by the larger, which unlike
/// x / bound cannot overflow. NaN stays NaN.
template <typename T>
struct ClipParts {
  Vec<T> smaller;
  Vec<T> ratio;
  decltype(Vec<T>{} < Vec<T>{}) beyond;
};

template <typename T>
static inline ClipParts<T> clip_parts(Vec<T> x, Vec<T> bound) {
  const Vec<T> size = x < 0 ? -x : x;
  const auto beyond = size > bound;
  const Vec<T> smaller = beyond ? bound : size;
  return {smaller, smaller / (beyond ? size : bound), beyond};
}

template <typename T>
static void smooth_clip(std::int64_t n, T bound, const T* x, T* y) {
  const Bits<T> sign_bit = (Bits<T>)splat<T>(static_cast<T>(-0.0));
  for_each_vector<T>(n, [&](std::int64_t i, std::int64_t count) {
    const Vec<T> value = load_first(x + i, count, T{0});
    const ClipParts<T> parts = clip_parts<T>(value, splat<T>(bound));
    const Vec<T> magnitude = parts.smaller / sqrt(fma(parts.ratio, parts.ratio, splat<T>(1)));
    store_first(y + i, (Vec<T>)((Bits<T>)magnitude | ((Bits<T>)value & sign_bit)), count);
  });
}

template <typename T>
static void smooth_clip_backward(std::int64_t n, T bound, const T* x, T* gradient) {
  for_each_vector<T>(n, [&](std::int64_t i, std::int64_t count) {
    const ClipParts<T> parts = clip_parts<T>(load_first(x + i, count, T{0}), splat<T>(bound));
    const Vec<T> q = parts.ratio;
    const Vec<T> sum = fma(q, q, splat<T>(1));
    const Vec<T> derivative = (parts.beyond ? q * q * q : splat<T>(1)) / (sum * sqrt(sum));
    store_first(gradient + i, load_first(gradient + i, count, T{0}) * derivative, count);
  });
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
static void add(std::int64_t n, const T* values, T* sums) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) store(sums + i, load(sums + i) + load(values + i));
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

// Parameter updates. Included by table.inl.hpp only.
// I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
// learning", ICML 2013: v = mu v - lr g; w += v (momentum), w += mu v - lr g (Nesterov, with the new v).

namespace fastmlp::FASTMLP_ISA {

struct Sgd {
  template <typename T>
  static void step(Vec<T>& w, Vec<T>&, Vec<T> g, const UpdateSettings<T>& s) {
    w = fma(splat<T>(-s.learning_rate), g, w);
  }
  static constexpr bool kHasSlot = false;
};

struct Momentum {
  template <typename T>
  static void step(Vec<T>& w, Vec<T>& v, Vec<T> g, const UpdateSettings<T>& s) {
    v = fma(splat<T>(s.momentum), v, splat<T>(-s.learning_rate) * g);
    w += v;
  }
  static constexpr bool kHasSlot = true;
};

struct Nesterov {
  template <typename T>
  static void step(Vec<T>& w, Vec<T>& v, Vec<T> g, const UpdateSettings<T>& s) {
    const Vec<T> descent = splat<T>(-s.learning_rate) * g;
    v = fma(splat<T>(s.momentum), v, descent);
    w += fma(splat<T>(s.momentum), v, descent);
  }
  static constexpr bool kHasSlot = true;
};

/// One vector of parameters, its state and its gradient.
template <typename T, typename Rule>
static inline void update_lanes(T* weights, T* slot, Vec<T> gradient, const UpdateSettings<T>& settings) {
  Vec<T> w = load(weights);
  Vec<T> v = Rule::kHasSlot ? load(slot) : Vec<T>{};
  Rule::template step<T>(w, v, fma(splat<T>(settings.l2), w, gradient), settings);
  store(weights, w);
  if constexpr (Rule::kHasSlot) store(slot, v);
}

template <typename T, typename Rule>
static void update(std::int64_t n, T* weights, T* slot, const T* gradient, const UpdateSettings<T>& settings) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    update_lanes<T, Rule>(weights + i, slot + i, load(gradient + i), settings);
  }
}

}  // namespace fastmlp::FASTMLP_ISA

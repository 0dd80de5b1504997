// Parameter updates. Included by table.inl.hpp only.
//
// A rule gets one vector of weights, its state in `slot` and the gradient of the mean loss, penalties included. Rules
// of about three operations update from the registers that hold the gradient (kInRegisters); longer ones read it from
// the first-level cache at no measurable cost.
//
// I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
// learning", ICML 2013: v = mu v - lr g; w += v (momentum), w += mu v - lr g (Nesterov, with the new v).

namespace fastmlp::FASTMLP_ISA {

struct Sgd {
  static constexpr int kSlots = 0;
  static constexpr bool kInRegisters = true;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>*, Vec<T> g, const UpdateSettings<T>& s) {
    w = fma(splat<T>(-s.learning_rate), g, w);
  }
};

struct Momentum {
  static constexpr int kSlots = 1;
  static constexpr bool kInRegisters = true;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    slot[0] = fma(splat<T>(s.momentum), slot[0], splat<T>(-s.learning_rate) * g);
    w += slot[0];
  }
};

struct Nesterov {
  static constexpr int kSlots = 1;
  static constexpr bool kInRegisters = true;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    const Vec<T> descent = splat<T>(-s.learning_rate) * g;
    slot[0] = fma(splat<T>(s.momentum), slot[0], descent);
    w += fma(splat<T>(s.momentum), slot[0], descent);
  }
};

/// average = decay average + (1 - decay) value.
template <typename T>
static inline void move_average(Vec<T>& average, T decay, Vec<T> value) {
  average = fma(splat<T>(decay), average, splat<T>(1 - decay) * value);
}

/// J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
/// JMLR 12, 2011. Slot: sum of squared gradients.
struct Adagrad {
  static constexpr int kSlots = 1;
  static constexpr bool kInRegisters = false;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    slot[0] = fma(g, g, slot[0]);
    w -= splat<T>(s.learning_rate) * g / (sqrt(slot[0]) + splat<T>(s.epsilon));
  }
};

/// T. Tieleman, G. Hinton, "Lecture 6.5: RMSprop", Coursera, 2012; centered: A. Graves, "Generating sequences with
/// recurrent neural networks", arXiv:1308.0850, 2013. Slots: mean square, then mean if centered, then velocity.
template <bool kCentered, bool kMomentum>
struct RmsProp {
  static constexpr int kSlots = 1 + kCentered + kMomentum;
  static constexpr bool kInRegisters = false;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    move_average(slot[0], s.beta2, g * g);
    Vec<T> variance = slot[0];
    if constexpr (kCentered) {
      move_average(slot[1], s.beta2, g);
      variance = fma(-slot[1], slot[1], variance);
      variance = variance > 0 ? variance : Vec<T>{};  // rounding may leave it below zero
    }
    const Vec<T> scaled = g / (sqrt(variance) + splat<T>(s.epsilon));
    if constexpr (kMomentum) {
      slot[kSlots - 1] = fma(splat<T>(s.momentum), slot[kSlots - 1], scaled);
      w = fma(splat<T>(-s.learning_rate), slot[kSlots - 1], w);
    } else {
      w = fma(splat<T>(-s.learning_rate), scaled, w);
    }
  }
};

/// D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015; maximum: S. Reddi, S. Kale, S. Kumar,
/// "On the convergence of Adam and beyond", ICLR 2018. Slots: mean, mean square, its maximum.
template <bool kMaximum>
struct Adam {
  static constexpr int kSlots = 2 + kMaximum;
  static constexpr bool kInRegisters = false;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    move_average(slot[0], s.beta1, g);
    move_average(slot[1], s.beta2, g * g);
    Vec<T> square = slot[1];
    if constexpr (kMaximum) square = slot[2] = slot[2] > square ? slot[2] : square;
    const Vec<T> root = fma(sqrt(square), splat<T>(s.root_correction), splat<T>(s.epsilon));
    w = fma(splat<T>(-s.step_size), slot[0] / root, w);
  }
};

/// Adam with the maximum norm (section 7.1 of the Adam paper). Slots: mean, largest magnitude.
struct Adamax {
  static constexpr int kSlots = 2;
  static constexpr bool kInRegisters = false;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    move_average(slot[0], s.beta1, g);
    const Vec<T> size = (g < 0 ? -g : g) + splat<T>(s.epsilon);
    const Vec<T> faded = splat<T>(s.beta2) * slot[1];
    slot[1] = faded > size ? faded : size;
    w = fma(splat<T>(-s.step_size), slot[0] / slot[1], w);
  }
};

/// T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016. Slots: mean, mean square.
struct Nadam {
  static constexpr int kSlots = 2;
  static constexpr bool kInRegisters = false;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    move_average(slot[0], s.beta1, g);
    move_average(slot[1], s.beta2, g * g);
    const Vec<T> root = fma(sqrt(slot[1]), splat<T>(s.root_correction), splat<T>(s.epsilon));
    w -= fma(splat<T>(s.gradient_step), g, splat<T>(s.step_size) * slot[0]) / root;
  }
};

/// X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023. Slot: mean.
struct Lion {
  static constexpr int kSlots = 1;
  static constexpr bool kInRegisters = true;
  template <typename T>
  static void step(Vec<T>& w, Vec<T>* slot, Vec<T> g, const UpdateSettings<T>& s) {
    Vec<T> direction = slot[0];
    move_average(direction, s.beta1, g);
    move_average(slot[0], s.beta2, g);
    const Vec<T> rate = splat<T>(s.learning_rate);
    w -= direction > 0 ? rate : direction < 0 ? -rate : Vec<T>{};
  }
};

/// One vector of parameters, its state and its gradient. Slot i lies i * slot_stride elements after the first.
template <typename T, typename Rule>
static inline void update_lanes(T* weights, T* slots, std::int64_t slot_stride, Vec<T> gradient,
                                const UpdateSettings<T>& settings) {
  Vec<T> slot[Rule::kSlots > 0 ? Rule::kSlots : 1];
#pragma GCC unroll 4
  for (int i = 0; i < Rule::kSlots; ++i) slot[i] = load(slots + i * slot_stride);
  Vec<T> w = load(weights);
  Vec<T> penalized = fma(splat<T>(settings.l2), w, gradient);
  if (settings.l1 != 0) {
    const Vec<T> step = splat<T>(settings.l1);
    penalized += w > 0 ? step : w < 0 ? -step : Vec<T>{};
  }
  w *= splat<T>(settings.shrink);
  Rule::template step<T>(w, slot, penalized, settings);
  store(weights, w);
#pragma GCC unroll 4
  for (int i = 0; i < Rule::kSlots; ++i) store(slots + i * slot_stride, slot[i]);
}

template <typename T, typename Rule>
static void update(std::int64_t n, T* weights, T* slots, std::int64_t slot_stride, const T* gradient,
                   const UpdateSettings<T>& shared) {
  const UpdateSettings<T> settings = shared;  // a copy, which stores of parameters cannot change
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    update_lanes<T, Rule>(weights + i, Rule::kSlots > 0 ? slots + i : nullptr, slot_stride, load(gradient + i),
                          settings);
  }
}

}  // namespace fastmlp::FASTMLP_ISA

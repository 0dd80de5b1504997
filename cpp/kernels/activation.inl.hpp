// Activations: the bias and the function on the way forward, the derivative from the stored output on the way
// back. Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

struct Identity {
  template <typename T>
  static Vec<T> value(Vec<T> z) {
    return z;
  }
  template <typename T>
  static Vec<T> backward(Vec<T>, Vec<T> gradient) {
    return gradient;
  }
};

struct Relu {
  template <typename T>
  static Vec<T> value(Vec<T> z) {
    return z <= 0 ? Vec<T>{} : z;  // a NaN passes, so that a diverging run shows
  }
  template <typename T>
  static Vec<T> backward(Vec<T> output, Vec<T> gradient) {
    return output > 0 ? gradient : Vec<T>{};
  }
};

struct Sigmoid {
  template <typename T>
  static Vec<T> value(Vec<T> z) {
    return sigmoid<T>(z);
  }
  template <typename T>
  static Vec<T> backward(Vec<T> output, Vec<T> gradient) {
    return gradient * (output * (splat<T>(1) - output));
  }
};

struct Tanh {
  template <typename T>
  static Vec<T> value(Vec<T> z) {
    return tanh<T>(z);
  }
  template <typename T>
  static Vec<T> backward(Vec<T> output, Vec<T> gradient) {
    return gradient * fma(-output, output, splat<T>(1));
  }
};

template <typename T, typename Function>
static void activate(std::int64_t rows, std::int64_t vectors, const T* bias, T* z) {
  for (std::int64_t row = 0; row < rows; ++row, z += kPanel<T>) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      T* lanes = z + j * kLanes<T>;
      store(lanes, Function::template value<T>(load(lanes) + load(bias + j * kLanes<T>)));
    }
  }
}

template <typename T, typename Function>
static void activate_backward(std::int64_t rows, std::int64_t vectors, const T* output, T* gradient) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      store(gradient + at, Function::template backward<T>(load(output + at), load(gradient + at)));
    }
  }
}

template <typename T>
static void column_sums(std::int64_t rows, std::int64_t vectors, const T* values, T* sums) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    Vec<T> sum{};
    for (std::int64_t row = 0; row < rows; ++row) sum += load(values + row * kPanel<T> + j * kLanes<T>);
    store(sums + j * kLanes<T>, sum);
  }
}

}  // namespace fastmlp::FASTMLP_ISA

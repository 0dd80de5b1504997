// Reductions and scalings of the columns of one panel: batch normalisation, norms of a unit's weights. Rows are added
// in ascending order. Included by table.inl.hpp only.
//
// S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
// shift", ICML 2015; max-norm: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
// overfitting", JMLR 15, 2014.

namespace fastmlp::FASTMLP_ISA {

template <typename T>
static void column_sums(std::int64_t rows, std::int64_t vectors, const T* values, T* sums) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    Vec<T> sum{};
    for (std::int64_t row = 0; row < rows; ++row) sum += load(values + row * kPanel<T> + j * kLanes<T>);
    store(sums + j * kLanes<T>, sum);
  }
}

template <typename T>
static void column_squares(std::int64_t rows, std::int64_t vectors, const T* values, T* sums) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    Vec<T> sum{};
    for (std::int64_t row = 0; row < rows; ++row) {
      const Vec<T> value = load(values + row * kPanel<T> + j * kLanes<T>);
      sum = fma(value, value, sum);
    }
    store(sums + j * kLanes<T>, sum);
  }
}

template <typename T>
static void column_moments(std::int64_t rows, std::int64_t vectors, const T* z, T* mean, T* variance) {
  const Vec<T> count = splat<T>(static_cast<T>(rows));
  for (std::int64_t j = 0; j < vectors; ++j) {
    const T* column = z + j * kLanes<T>;
    Vec<T> sum{};
    for (std::int64_t row = 0; row < rows; ++row) sum += load(column + row * kPanel<T>);
    const Vec<T> centre = sum / count;
    Vec<T> squares{};
    for (std::int64_t row = 0; row < rows; ++row) {
      const Vec<T> distance = load(column + row * kPanel<T>) - centre;
      squares = fma(distance, distance, squares);
    }
    store(mean + j * kLanes<T>, centre);
    store(variance + j * kLanes<T>, squares / count);
  }
}

template <typename T>
static void normalise(std::int64_t rows, std::int64_t vectors, const T* mean, const T* inverse, const T* scales, T* z,
                      T* normalised) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t lane = j * kLanes<T>;
      const std::int64_t at = row * kPanel<T> + lane;
      const Vec<T> value = (load(z + at) - load(mean + lane)) * load(inverse + lane);
      if (normalised != nullptr) store(normalised + at, value);
      store(z + at, load(scales + lane) * value);
    }
  }
}

template <typename T>
static void normalise_backward(std::int64_t rows, std::int64_t vectors, const T* inverse, const T* scales,
                               const T* normalised, bool from_batch, T* gradient, T* d_scales, T* d_shift) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    const std::int64_t lane = j * kLanes<T>;
    Vec<T> shift{};
    Vec<T> scale{};
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t at = row * kPanel<T> + lane;
      shift += load(gradient + at);
      scale = fma(load(gradient + at), load(normalised + at), scale);
    }
    store(d_shift + lane, shift);
    store(d_scales + lane, scale);
    const Vec<T> factor = load(scales + lane) * load(inverse + lane);
    // Moving one value moves the mean and the variance of its batch.
    const Vec<T> count = splat<T>(static_cast<T>(rows));
    const Vec<T> mean_shift = from_batch ? shift / count : Vec<T>{};
    const Vec<T> mean_scale = from_batch ? scale / count : Vec<T>{};
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t at = row * kPanel<T> + lane;
      const Vec<T> centred = load(gradient + at) - mean_shift;
      store(gradient + at, factor * fma(-load(normalised + at), mean_scale, centred));
    }
  }
}

template <typename T>
static void limit_norms(std::int64_t rows, std::int64_t vectors, T bound, T* weights) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    T* column = weights + j * kLanes<T>;
    Vec<T> squares{};
    for (std::int64_t row = 0; row < rows; ++row) {
      const Vec<T> w = load(column + row * kPanel<T>);
      squares = fma(w, w, squares);
    }
    const Vec<T> norm = sqrt(squares);
    const Vec<T> factor = norm > splat<T>(bound) ? splat<T>(bound) / norm : splat<T>(1);
    bool any = false;
    for (int lane = 0; lane < kLanes<T>; ++lane) any |= factor[lane] != 1;
    if (!any) continue;
    for (std::int64_t row = 0; row < rows; ++row) {
      store(column + row * kPanel<T>, load(column + row * kPanel<T>) * factor);
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA

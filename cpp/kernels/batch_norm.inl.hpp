// Reductions and scalings of the columns of one panel: batch normalization, norms of a unit's weights, factors of
// members that share weights. Sums over rows keep the order of row_sums.inl.hpp. Included by table.inl.hpp only.
//
// S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
// shift", ICML 2015; max-norm: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
// overfitting", JMLR 15, 2014.

namespace fastmlp::FASTMLP_ISA {

template <typename T>
static inline Vec<T> sum_of_squares(std::int64_t rows, const T* column, Vec<T> center) {
  Vec<T> squares[1];
  sum_rows<T>(rows, squares, [&](std::int64_t row, Vec<T>(&sums)[1]) {
    const Vec<T> distance = load(column + row * kPanel<T>) - center;
    sums[0] = fma(distance, distance, sums[0]);
  });
  return squares[0];
}

template <typename T>
static inline Vec<T> sum_of_values(std::int64_t rows, const T* column) {
  Vec<T> total[1];
  sum_rows<T>(rows, total, [&](std::int64_t row, Vec<T>(&sums)[1]) { sums[0] += load(column + row * kPanel<T>); });
  return total[0];
}

template <typename T>
static void column_sums(std::int64_t rows, std::int64_t vectors, const T* values, T* sums) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    store(sums + j * kLanes<T>, sum_of_values<T>(rows, values + j * kLanes<T>));
  }
}

template <typename T>
static void column_squares(std::int64_t rows, std::int64_t vectors, const T* values, T* sums) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    store(sums + j * kLanes<T>, sum_of_squares<T>(rows, values + j * kLanes<T>, Vec<T>{}));
  }
}

template <typename T>
static void dot_columns(std::int64_t rows, std::int64_t vectors, const T* a, const T* b, T* sums) {
  for (std::int64_t lane = 0; lane < vectors * kLanes<T>; lane += kLanes<T>) {
    Vec<T> total[1];
    sum_rows<T>(rows, total, [&](std::int64_t row, Vec<T>(&partial)[1]) {
      const std::int64_t at = row * kPanel<T> + lane;
      partial[0] = fma(load(a + at), load(b + at), partial[0]);
    });
    store(sums + lane, total[0]);
  }
}

template <typename T>
static void scale_columns(std::int64_t rows, std::int64_t vectors, const T* scales, const T* source, T* destination) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      store(destination + at, load(scales + j * kLanes<T>) * load(source + at));
    }
  }
}

template <typename T>
static void column_moments(std::int64_t rows, std::int64_t vectors, const T* z, T* mean, T* variance) {
  const Vec<T> count = splat<T>(static_cast<T>(rows));
  for (std::int64_t j = 0; j < vectors; ++j) {
    const T* column = z + j * kLanes<T>;
    const Vec<T> center = sum_of_values<T>(rows, column) / count;
    store(mean + j * kLanes<T>, center);
    store(variance + j * kLanes<T>, sum_of_squares<T>(rows, column, center) / count);
  }
}

template <typename T>
static void normalize(std::int64_t rows, std::int64_t vectors, const T* mean, const T* inverse, const T* scales, T* z,
                      T* normalized) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t lane = j * kLanes<T>;
      const std::int64_t at = row * kPanel<T> + lane;
      const Vec<T> value = (load(z + at) - load(mean + lane)) * load(inverse + lane);
      if (normalized != nullptr) store(normalized + at, value);
      store(z + at, load(scales + lane) * value);
    }
  }
}

template <typename T>
static void normalize_backward(std::int64_t rows, std::int64_t vectors, const T* inverse, const T* scales,
                               const T* normalized, bool from_batch, T* dz, T* dscales, T* dshift) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    const std::int64_t lane = j * kLanes<T>;
    Vec<T> totals[2];
    sum_rows<T>(rows, totals, [&](std::int64_t row, Vec<T>(&sums)[2]) {
      const Vec<T> g = load(dz + row * kPanel<T> + lane);
      sums[0] += g;
      sums[1] = fma(g, load(normalized + row * kPanel<T> + lane), sums[1]);
    });
    const Vec<T> shift = totals[0];
    const Vec<T> scale = totals[1];
    store(dshift + lane, shift);
    store(dscales + lane, scale);
    const Vec<T> factor = load(scales + lane) * load(inverse + lane);
    // Moving one value moves the mean and the variance of its batch.
    const Vec<T> count = splat<T>(static_cast<T>(rows));
    const Vec<T> mean_shift = from_batch ? shift / count : Vec<T>{};
    const Vec<T> mean_scale = from_batch ? scale / count : Vec<T>{};
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t at = row * kPanel<T> + lane;
      const Vec<T> centered = load(dz + at) - mean_shift;
      store(dz + at, factor * fma(-load(normalized + at), mean_scale, centered));
    }
  }
}

template <typename T>
static void limit_norms(std::int64_t rows, std::int64_t vectors, T bound, T* weights) {
  for (std::int64_t j = 0; j < vectors; ++j) {
    T* column = weights + j * kLanes<T>;
    const Vec<T> norm = sqrt(sum_of_squares<T>(rows, column, Vec<T>{}));
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

// Layer normalization, row by row. Sums over outputs keep the order of output_row.inl.hpp. Included by table.inl.hpp
// only.
//
// J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.

namespace fastmlp::FASTMLP_ISA {

template <typename T>
static inline T sum_of_lanes(const Lanes16<T>& lanes) {
  return reduce16(lanes, [](Vec<T> a, Vec<T> b) { return a + b; });
}

template <typename T>
static void normalize_rows(std::int64_t rows, std::int64_t outputs, T epsilon, const T* scales, T* z, T* normalized,
                           std::int64_t panel_stride, T* inverses) {
  const T count = static_cast<T>(outputs);
  for (std::int64_t row = 0; row < rows; ++row) {
    T* values = z + row * kPanel<T>;
    Lanes16<T> sums = Lanes16<T>::filled(0);
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t left) {
      const Lanes16<T> group = keep_first(Lanes16<T>::from(values + at), left, T{0});
      for (int i = 0; i < Lanes16<T>::kCount; ++i) sums.part[i] += group.part[i];
    });
    const Vec<T> mean = splat<T>(sum_of_lanes(sums) / count);
    Lanes16<T> squares = Lanes16<T>::filled(0);
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t, std::int64_t left) {
      Lanes16<T> group = Lanes16<T>::from(values + at);
      for (auto& part : group.part) part -= mean;
      group = keep_first(group, left, T{0});
      for (int i = 0; i < Lanes16<T>::kCount; ++i) {
        squares.part[i] = fma(group.part[i], group.part[i], squares.part[i]);
      }
    });
    const Vec<T> deviation = sqrt(splat<T>(sum_of_lanes(squares) / count + epsilon));
    const Vec<T> inverse = splat<T>(1) / deviation;
    if (inverses != nullptr) inverses[row] = inverse[0];
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t first, std::int64_t left) {
      Lanes16<T> group = Lanes16<T>::from(values + at);
      for (auto& part : group.part) part = (part - mean) * inverse;
      group = keep_first(group, left, T{0});
      if (normalized != nullptr) group.to(normalized + row * kPanel<T> + at);
      const Lanes16<T> factors = Lanes16<T>::from(scales + first);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) group.part[i] *= factors.part[i];
      group.to(values + at);
    });
  }
}

template <typename T>
static void normalize_rows_backward(std::int64_t rows, std::int64_t outputs, const T* scales, const T* normalized,
                                    const T* inverses, const T* gradient, T* dz, std::int64_t panel_stride) {
  const T count = static_cast<T>(outputs);
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* values = normalized + row * kPanel<T>;
    const T* by_shifted = gradient + row * kPanel<T>;
    const auto scaled = [&](std::int64_t at, std::int64_t first, std::int64_t left) {
      Lanes16<T> group = Lanes16<T>::from(by_shifted + at);
      const Lanes16<T> factors = Lanes16<T>::from(scales + first);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) group.part[i] *= factors.part[i];
      return keep_first(group, left, T{0});
    };
    Lanes16<T> sums = Lanes16<T>::filled(0);
    Lanes16<T> products = Lanes16<T>::filled(0);
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t first, std::int64_t left) {
      const Lanes16<T> group = scaled(at, first, left);
      const Lanes16<T> value = Lanes16<T>::from(values + at);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) {
        sums.part[i] += group.part[i];
        products.part[i] = fma(group.part[i], value.part[i], products.part[i]);
      }
    });
    // Moving one value moves the mean and the deviation of its row.
    const Vec<T> mean = splat<T>(sum_of_lanes(sums) / count);
    const Vec<T> along = splat<T>(sum_of_lanes(products) / count);
    const Vec<T> inverse = splat<T>(inverses[row]);
    for_each_group<T>(outputs, panel_stride, [&](std::int64_t at, std::int64_t first, std::int64_t left) {
      Lanes16<T> group = scaled(at, first, left);
      const Lanes16<T> value = Lanes16<T>::from(values + at);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) {
        group.part[i] = inverse * fma(-value.part[i], along, group.part[i] - mean);
      }
      keep_first(group, left, T{0}).to(dz + row * kPanel<T> + at);
    });
  }
}

template <typename T>
static void add_rows(std::int64_t rows, std::int64_t vectors, const T* source, T* sums) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      store(sums + at, load(sums + at) + load(source + at));
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA

// Input rows: picked by index, converted, scaled and written as panel rows. Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

template <typename T>
static inline Vec<T> load_converted(const T* p) {
  return load(p);
}
template <typename T>
static inline Vec<T> load_converted(const std::uint8_t* p) {
  return convert(p, Vec<T>{});
}

template <typename T, typename Source>
static void gather(std::int64_t rows, std::int64_t features, const void* source, std::int64_t row_bytes,
                   const std::int64_t* index, T scale, T* destination, std::int64_t panel_stride) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t sample = index == nullptr ? row : index[row];
    const auto* x = reinterpret_cast<const Source*>(static_cast<const unsigned char*>(source) + sample * row_bytes);
    T* panel_row = destination + row * kPanel<T>;
    for (std::int64_t k = 0; k < features; k += kPanel<T>, panel_row += panel_stride) {
      for (int j = 0; j < kPanel<T>; j += kLanes<T>) {
        if (features - k >= j + kLanes<T>) {
          store(panel_row + j, load_converted<T>(x + k + j) * splat<T>(scale));
        } else {
          for (int i = j; i < j + kLanes<T>; ++i) {
            panel_row[i] = k + i < features ? static_cast<T>(x[k + i]) * scale : T{0};
          }
        }
      }
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA

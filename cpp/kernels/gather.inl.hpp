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

/// Number of rows ahead whose destination is prefetched.
constexpr std::int64_t kRowsAhead = 4;

template <typename Source>
static inline const Source* sample_row(const void* source, std::int64_t row_bytes, const std::int64_t* index,
                                       std::int64_t row) {
  const std::int64_t sample = index == nullptr ? row : index[row];
  return reinterpret_cast<const Source*>(static_cast<const unsigned char*>(source) + sample * row_bytes);
}

template <typename T, typename Source>
static void gather(std::int64_t rows, std::int64_t features, const void* source, std::int64_t row_bytes,
                   const std::int64_t* index, T scale, T* destination, std::int64_t panel_stride) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const Source* x = sample_row<Source>(source, row_bytes, index, row);
    T* panel_row = destination + row * kPanel<T>;
    for (std::int64_t k = 0; k < features; k += kPanel<T>, panel_row += panel_stride) {
      // The panels are too many streams for the hardware to follow.
      for (int j = 0; j < kPanel<T>; j += 64 / sizeof(T)) __builtin_prefetch(panel_row + kRowsAhead * kPanel<T> + j, 1);
      for (int j = 0; j < kPanel<T>; j += kLanes<T>) {
        const std::int64_t left = features - k - j;
        if (left >= kLanes<T>) {
          store(panel_row + j, load_converted<T>(x + k + j) * splat<T>(scale));
        } else {
          Source tail[kLanes<T>] = {};
          for (std::int64_t i = 0; i < left; ++i) tail[i] = x[k + j + i];
          store(panel_row + j, load_converted<T>(tail) * splat<T>(scale));
        }
      }
    }
  }
}

template <typename Source>
static void mark_nonzero(std::int64_t rows, std::int64_t features, const void* source, std::int64_t row_bytes,
                         const std::int64_t* index, std::uint8_t* flags) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const Source* __restrict x = sample_row<Source>(source, row_bytes, index, row);
    std::uint8_t* __restrict marks = flags;
    for (std::int64_t k = 0; k < features; ++k) marks[k] |= x[k] != 0;
  }
}

template <typename T, typename Source>
static void gather_columns(std::int64_t rows, std::int64_t count, const std::int32_t* columns, const void* source,
                           std::int64_t row_bytes, const std::int64_t* index, T scale, T* destination,
                           std::int64_t panel_stride) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const Source* x = sample_row<Source>(source, row_bytes, index, row);
    T* panel_row = destination + row * kPanel<T>;
    for (std::int64_t k = 0; k < count; k += kPanel<T>, panel_row += panel_stride) {
      const std::int64_t width = count - k < kPanel<T> ? count - k : kPanel<T>;
      for (std::int64_t j = 0; j < width; ++j) panel_row[j] = static_cast<T>(x[columns[k + j]]) * scale;
      for (std::int64_t j = width; j < kPanel<T>; ++j) panel_row[j] = 0;
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA

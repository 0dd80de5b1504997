// Input rows: picked by index, converted, scaled and written as panel rows. Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

/// A number in half precision (IEEE 754 binary16).
struct Half {
  std::uint16_t bits;
};

/// Vectors of kLanes<T> elements of other types.
template <typename T>
struct Sources {
  typedef std::uint16_t Halves __attribute__((vector_size(kLanes<T> * 2), aligned(2), may_alias));
  typedef float Floats __attribute__((vector_size(kLanes<T> * 4)));
  typedef float FloatsInMemory __attribute__((vector_size(kLanes<T> * 4), aligned(4), may_alias));
  typedef double DoublesInMemory __attribute__((vector_size(kLanes<T> * 8), aligned(8), may_alias));
  typedef std::uint32_t Words __attribute__((vector_size(kLanes<T> * 4)));
  typedef std::int32_t Integers __attribute__((vector_size(kLanes<T> * 4)));
};

/// Exact, without subnormal numbers on the way, which a processor may be set to flush.
template <typename T>
static inline typename Sources<T>::Floats from_half(typename Sources<T>::Words half) {
  using Floats = typename Sources<T>::Floats;
  using Words = typename Sources<T>::Words;
  const Words magnitude = half & 0x7fffu;
  const Words exponent = half & 0x7c00u;
  const Words normal = (magnitude << 13) + (112u << 23);  // the exponents have biases of 15 and 127
  const Words special = (magnitude << 13) | 0x7f800000u;
  const Floats fraction = __builtin_convertvector((typename Sources<T>::Integers)magnitude, Floats) * 0x1p-24f;
  const Words bits = exponent == 0 ? (Words)fraction : (exponent == 0x7c00u ? special : normal);
  return (Floats)(bits | ((half & 0x8000u) << 16));
}

template <typename T>
static inline Vec<T> load_converted(const std::uint8_t* p) {
  return convert(p, Vec<T>{});
}
template <typename T>
static inline Vec<T> load_converted(const Half* p) {
  const auto halves = *reinterpret_cast<const typename Sources<T>::Halves*>(p);
  return __builtin_convertvector(from_half<T>(__builtin_convertvector(halves, typename Sources<T>::Words)), Vec<T>);
}
template <typename T>
static inline Vec<T> load_converted(const float* p) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return load(p);
  } else {
    return __builtin_convertvector(*reinterpret_cast<const typename Sources<T>::FloatsInMemory*>(p), Vec<T>);
  }
}
template <typename T>
static inline Vec<T> load_converted(const double* p) {
  if constexpr (sizeof(T) == sizeof(double)) {
    return load(p);
  } else {
    return __builtin_convertvector(*reinterpret_cast<const typename Sources<T>::DoublesInMemory*>(p), Vec<T>);
  }
}

/// The first `count` elements, 0 in the other lanes.
template <typename T, typename Source>
static inline Vec<T> load_first_converted(const Source* p, std::int64_t count) {
  if (count >= kLanes<T>) return load_converted<T>(p);
  Source lanes[kLanes<T>] = {};
  for (std::int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load_converted<T>(lanes);
}

template <typename T>
static inline T converted(Half x) {
  return load_first_converted<T>(&x, 1)[0];
}
template <typename T, typename Source>
static inline T converted(Source x) {
  return static_cast<T>(x);
}

static inline bool is_zero(Half x) { return (x.bits & 0x7fff) == 0; }
template <typename Source>
static inline bool is_zero(Source x) {
  return x == 0;
}

/// A mask of the lanes that are NaN or infinite: x - x is 0 for finite x, and NaN otherwise.
template <typename V>
static inline auto not_finite(V x) {
  return x - x != V{};
}
template <typename Mask>
static inline bool is_empty(Mask mask) {
  bool empty = true;
  for (std::size_t lane = 0; lane < sizeof(Mask) / sizeof(mask[0]); ++lane) empty = empty && mask[lane] == 0;
  return empty;
}

template <typename T, typename Source>
static bool all_finite(std::int64_t n, const void* source) {
  const auto* x = static_cast<const Source*>(source);
  Bits<T> found{};
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    found |= not_finite(load_first_converted<T>(x + i, n - i));
  }
  return is_empty(found);
}

/// Rows that are taken side by side, so that what is written to a panel in one go is long. Whole rows one after the
/// other would write to more places, a power of two apart, than the first-level cache tells apart.
constexpr int kRowsAtOnce = 16;

template <typename Source>
static inline const Source* sample_row(const void* source, std::int64_t row_bytes, const std::int64_t* index,
                                       std::int64_t row) {
  const std::int64_t sample = index == nullptr ? row : index[row];
  return reinterpret_cast<const Source*>(static_cast<const unsigned char*>(source) + sample * row_bytes);
}

template <typename T, typename Source>
static bool gather(std::int64_t rows, std::int64_t features, const void* source, std::int64_t row_bytes,
                   const std::int64_t* index, T scale, T* destination, std::int64_t panel_stride) {
  Bits<T> found{};
  for (std::int64_t row = 0; row < rows; row += kRowsAtOnce) {
    const int count = rows - row < kRowsAtOnce ? static_cast<int>(rows - row) : kRowsAtOnce;
    const Source* x[kRowsAtOnce];
    for (int i = 0; i < count; ++i) x[i] = sample_row<Source>(source, row_bytes, index, row + i);
    T* panel_rows = destination + row * kPanel<T>;
    for (std::int64_t k = 0; k < features; k += kPanel<T>, panel_rows += panel_stride) {
      for (int i = 0; i < count; ++i) {
        for (int j = 0; j < kPanel<T>; j += kLanes<T>) {
          const std::int64_t left = features - k - j;
          const Vec<T> value = left > 0 ? load_first_converted<T>(x[i] + k + j, left) : Vec<T>{};
          found |= not_finite(value);
          store(panel_rows + i * kPanel<T> + j, value * splat<T>(scale));
        }
      }
    }
  }
  return is_empty(found);
}

/// kLanes<double> numbers, rounded to T.
template <typename T>
struct FewLanes {
  typedef T V __attribute__((vector_size(kLanes<double> * sizeof(T))));
  typedef T InMemory __attribute__((vector_size(kLanes<double> * sizeof(T)), aligned(sizeof(T)), may_alias));
};

template <typename T, typename Source>
static bool gather_standardized(std::int64_t rows, std::int64_t features, const void* source, std::int64_t row_bytes,
                                const std::int64_t* index, const double* mean, const double* deviation, T scale,
                                T* destination, std::int64_t panel_stride) {
  using Few = typename FewLanes<T>::V;
  decltype(not_finite(Few{})) found{};
  for (std::int64_t row = 0; row < rows; ++row) {
    const Source* x = sample_row<Source>(source, row_bytes, index, row);
    T* panel_row = destination + row * kPanel<T>;
    for (std::int64_t k = 0; k < features; k += kPanel<T>, panel_row += panel_stride) {
      for (int j = 0; j < kPanel<T>; j += kLanes<double>) {
        const std::int64_t at = k + j;
        const Vec<double> raw = at < features ? load_first_converted<double>(x + at, features - at) : Vec<double>{};
        const Vec<double> standardized = (raw - load(mean + at)) / load(deviation + at);
        const Few value = __builtin_convertvector(standardized, Few);
        found |= not_finite(value);
        *reinterpret_cast<typename FewLanes<T>::InMemory*>(panel_row + j) = value * (scale - Few{});
      }
    }
  }
  return is_empty(found);
}

template <typename Source>
static void mark_nonzero(std::int64_t rows, std::int64_t features, const void* source, std::int64_t row_bytes,
                         const std::int64_t* index, std::uint8_t* flags) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const Source* __restrict x = sample_row<Source>(source, row_bytes, index, row);
    std::uint8_t* __restrict marks = flags;
    for (std::int64_t k = 0; k < features; ++k) marks[k] |= !is_zero(x[k]);
  }
}

template <typename T, typename Source>
static bool gather_columns(std::int64_t rows, std::int64_t count, const std::int32_t* columns, const void* source,
                           std::int64_t row_bytes, const std::int64_t* index, T scale, T* destination,
                           std::int64_t panel_stride) {
  bool finite = true;
  for (std::int64_t row = 0; row < rows; ++row) {
    const Source* x = sample_row<Source>(source, row_bytes, index, row);
    T* panel_row = destination + row * kPanel<T>;
    for (std::int64_t k = 0; k < count; k += kPanel<T>, panel_row += panel_stride) {
      const std::int64_t width = count - k < kPanel<T> ? count - k : kPanel<T>;
      for (std::int64_t j = 0; j < width; ++j) {
        const T value = converted<T>(x[columns[k + j]]);
        finite &= value - value == 0;
        panel_row[j] = value * scale;
      }
      for (std::int64_t j = width; j < kPanel<T>; ++j) panel_row[j] = 0;
    }
  }
  return finite;
}

}  // namespace fastmlp::FASTMLP_ISA

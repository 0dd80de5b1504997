// Matrix products on panels and the block transpose. Included by table.inl.hpp only.
//
// The lanes operand (b) is contiguous, the other one is broadcast, so a may be read along its rows (gemm) or its
// columns (gemm_at) from the same layout; all its offsets inside a tile are compile-time constants.

namespace fastmlp::FASTMLP_ISA {

/// Depth of one pass over b: this many panel rows stay in the first-level cache while the rows of a go by.
template <typename T>
constexpr std::int64_t kDepthBlock = 16384 / (kPanel<T> * sizeof(T)) / kPanel<T> * kPanel<T> > 0
                                         ? 16384 / (kPanel<T> * sizeof(T)) / kPanel<T> * kPanel<T>
                                         : kPanel<T>;

/// `depth` steps of a Rows x Vectors register tile. Row i of a starts row_step elements after row i - 1; one step
/// of the depth is depth_step elements.
template <typename T, int Rows, int Vectors, int kRowStep, int kDepthStep>
static inline __attribute__((always_inline)) void tile_steps(std::int64_t depth, const T*& a, const T*& b,
                                                             Vec<T> (&acc)[Rows][Vectors]) {
  for (std::int64_t k = 0; k < depth; ++k, a += kDepthStep, b += kPanel<T>) {
    Vec<T> lanes[Vectors];
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) lanes[j] = load(b + j * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> broadcast = splat<T>(a[i * kRowStep]);
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) acc[i][j] = fma(broadcast, lanes[j], acc[i][j]);
    }
  }
}

/// What a register tile becomes: row `row` of its panel, vector `j` of that row.
template <typename T>
struct StoreTile {
  T* c;
  void prepare(std::int64_t, int, int) const {}
  void operator()(std::int64_t row, int j, Vec<T> value) const { store(c + row * kPanel<T> + j * kLanes<T>, value); }
};

/// A tile of gradients updates the parameters straight from its registers.
template <typename T, typename Rule>
struct UpdateTile {
  T* weights;
  T* slot;
  const UpdateSettings<T>* settings;
  /// Fetches what the tile will update while its product is computed.
  void prepare(std::int64_t row, int rows, int vectors) const {
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < vectors; ++j) {
        const std::int64_t at = (row + i) * kPanel<T> + j * kLanes<T>;
        __builtin_prefetch(weights + at, 1);
        if constexpr (Rule::kHasSlot) __builtin_prefetch(slot + at, 1);
      }
    }
  }
  void operator()(std::int64_t row, int j, Vec<T> gradient) const {
    const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
    update_lanes<T, Rule>(weights + at, Rule::kHasSlot ? slot + at : nullptr, gradient, *settings);
  }
};

/// One register tile over `depth`, k ascending, starting from +0 or from the partial sums in c.
/// Row i of the tile is row `row` + i of its panel.
template <typename T, bool kTransposed, int Rows, int Vectors, typename Finish>
static void tile(std::int64_t depth, const T* a, std::int64_t a_panel_stride, const T* b, std::int64_t row,
                 const T* partial, const Finish& finish) {
  constexpr std::int64_t kWorthFetching = 64;  // a short product is over before the parameters arrive
  if (depth >= kWorthFetching) finish.prepare(row, Rows, Vectors);
  Vec<T> acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) {
      acc[i][j] = partial != nullptr ? load(partial + (row + i) * kPanel<T> + j * kLanes<T>) : Vec<T>{};
    }
  }
  if constexpr (kTransposed) {
    tile_steps<T, Rows, Vectors, 1, kPanel<T>>(depth, a, b, acc);
  } else {
    for (std::int64_t k = 0; k < depth; k += kPanel<T>) {
      const T* a_row = a + k / kPanel<T> * a_panel_stride;
      const std::int64_t left = depth - k;
      tile_steps<T, Rows, Vectors, kPanel<T>, 1>(left < kPanel<T> ? left : kPanel<T>, a_row, b, acc);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) finish(row + i, j, acc[i][j]);
  }
}

template <typename T, typename Finish>
using TileFunction = void (*)(std::int64_t, const T*, std::int64_t, const T*, std::int64_t, const T*, const Finish&);

/// The tile for the given number of rows, chosen among the instantiations 1..Rows.
template <typename T, bool kTransposed, int Rows, int Vectors, typename Finish>
static inline TileFunction<T, Finish> select_rows(std::int64_t rows) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return select_rows<T, kTransposed, Rows - 1, Vectors, Finish>(rows);
  }
  return tile<T, kTransposed, Rows, Vectors, Finish>;
}

template <typename T, bool kTransposed, int Vectors, typename Finish>
static inline TileFunction<T, Finish> select_tile(std::int64_t rows, std::int64_t vectors) {
  if constexpr (Vectors > 1) {
    if (vectors < Vectors) return select_tile<T, kTransposed, Vectors - 1, Finish>(rows, vectors);
  }
  return select_rows<T, kTransposed, kTileRows<T>, Vectors, Finish>(rows);
}

/// Cuts the rows into tiles of nearly equal height, so that no thin tile is left over at the edge.
template <typename T, bool kTransposed, typename Finish>
static void tile_rows(std::int64_t rows, std::int64_t depth, const T* a, std::int64_t a_panel_stride, const T* b,
                      std::int64_t vectors, const T* partial, const Finish& finish) {
  const std::int64_t tiles = (rows + kTileRows<T> - 1) / kTileRows<T>;
  const std::int64_t height = rows / tiles;
  const std::int64_t taller = rows % tiles;
  const auto tall_tile = select_tile<T, kTransposed, kVectors<T>, Finish>(height + 1, vectors);
  const auto short_tile = select_tile<T, kTransposed, kVectors<T>, Finish>(height, vectors);
  std::int64_t row = 0;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const bool tall = t < taller;
    const T* a_tile = a + row * (kTransposed ? 1 : kPanel<T>);
    (tall ? tall_tile : short_tile)(depth, a_tile, a_panel_stride, b, row, partial, finish);
    row += height + tall;
  }
}

/// Blocks of the depth, so that b stays in the first-level cache while the rows of a go by; partial sums rest in c,
/// `finish` receives the complete ones.
template <typename T, bool kTransposed, typename Finish>
static void product(std::int64_t rows, std::int64_t depth, const T* a, std::int64_t a_panel_stride, const T* b,
                    std::int64_t vectors, T* c, bool accumulate, const Finish& finish) {
  for (std::int64_t k = 0; k < depth; k += kDepthBlock<T>) {
    const T* a_block = a + (kTransposed ? k * kPanel<T> : k / kPanel<T> * a_panel_stride);
    const T* b_block = b + k * kPanel<T>;
    const T* partial = k > 0 || accumulate ? c : nullptr;
    if (depth - k > kDepthBlock<T>) {
      tile_rows<T, kTransposed>(rows, kDepthBlock<T>, a_block, a_panel_stride, b_block, vectors, partial,
                                StoreTile<T>{c});
    } else {
      tile_rows<T, kTransposed>(rows, depth - k, a_block, a_panel_stride, b_block, vectors, partial, finish);
    }
  }
}

template <typename T>
static void gemm(std::int64_t rows, std::int64_t depth, const T* a, std::int64_t a_panel_stride, const T* b,
                 std::int64_t vectors, T* c, bool accumulate) {
  product<T, false>(rows, depth, a, a_panel_stride, b, vectors, c, accumulate, StoreTile<T>{c});
}

template <typename T>
static void gemm_at(std::int64_t rows, std::int64_t depth, const T* a, const T* b, std::int64_t vectors, T* c) {
  product<T, true>(rows, depth, a, 0, b, vectors, c, false, StoreTile<T>{c});
}

template <typename T, typename Rule>
static void gemm_at_update(std::int64_t rows, std::int64_t depth, const T* a, const T* b, std::int64_t vectors,
                           T* weights, T* slot, const UpdateSettings<T>& settings, T* scratch) {
  const UpdateTile<T, Rule> update{weights, slot, &settings};
  product<T, true>(rows, depth, a, 0, b, vectors, scratch, false, update);
}

/// One stage of the transpose: exchanges the off-diagonal kStep x kStep blocks of each 2 kStep x 2 kStep block.
template <typename T, int kStep>
static inline void exchange_blocks(Vec<T> (&row)[kLanes<T>]) {
  if constexpr (kStep >= 1) {
    Bits<T> upper;
    Bits<T> lower;
    for (int lane = 0; lane < kLanes<T>; ++lane) {
      upper[lane] = (lane & kStep) != 0 ? kLanes<T> + lane - kStep : lane;
      lower[lane] = (lane & kStep) != 0 ? kLanes<T> + lane : lane + kStep;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      if ((i & kStep) != 0) continue;
      const Vec<T> a = row[i];
      const Vec<T> b = row[i + kStep];
      row[i] = __builtin_shuffle(a, b, upper);
      row[i + kStep] = __builtin_shuffle(a, b, lower);
    }
    exchange_blocks<T, kStep / 2>(row);
  }
}

template <typename T>
static void transpose(std::int64_t rows, std::int64_t cols, const T* source, T* destination) {
  for (std::int64_t i0 = 0; i0 < kPanel<T>; i0 += kLanes<T>) {
    for (std::int64_t j0 = 0; j0 < cols; j0 += kLanes<T>) {
      Vec<T> row[kLanes<T>];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes<T>; ++i) {
        row[i] = i0 + i < rows ? load(source + (i0 + i) * kPanel<T> + j0) : Vec<T>{};
      }
      exchange_blocks<T, kLanes<T> / 2>(row);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes<T>; ++j) {
        if (j0 + j < cols) store(destination + (j0 + j) * kPanel<T> + i0, row[j]);
      }
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA

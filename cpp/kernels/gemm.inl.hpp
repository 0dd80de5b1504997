// Matrix products on panels and the block transpose. Included by table.inl.hpp only.
//
// Operand b is contiguous in the lanes; elements of a are broadcast. So a may be read along its rows (gemm_nn) or its
// columns (gemm_tn) from the same layout; all its offsets inside a tile are compile-time constants. The third product,
// a b^T, is gemm_nn on a transposed operand (ops/dense.cpp).

namespace fastmlp::FASTMLP_ISA {

/// Depth of one pass over b. As many panel rows of b stay in the first-level cache during a pass over the rows of a.
/// Partial sums leave the registers once per pass.
template <typename T>
constexpr std::int64_t kDepthBlock = 32768 / (kPanel<T> * sizeof(T)) / kPanel<T> * kPanel<T>;
/// Elements of a cache line.
template <typename T>
constexpr std::int64_t kLine = 64 / sizeof(T);

/// How a tile walks through its operands: a along its rows or its columns; b row by row or by a list of rows.
enum class Walk { rows, columns, listed_rows };

/// Starts fetching `lines` cache lines into the second-level cache. Always inline, here and below: to GCC a function
/// that only prefetches has no effect, and it drops the call.
template <typename T>
static inline __attribute__((always_inline)) void fetch_lines(const T* from, std::int64_t lines) {
  for (std::int64_t i = 0; i < lines; ++i) __builtin_prefetch(from + i * kLine<T>, 0, 2);
}

/// `depth` steps of a Rows x Vectors register tile. Row i of a starts kRowStep elements after row i - 1; one step
/// of the depth is kDepthStep elements.
template <typename T, int Rows, int Vectors, Walk kWalk>
static inline __attribute__((always_inline)) void tile_steps(std::int64_t depth, const T* a, const T* b,
                                                             const std::int32_t* b_rows, Vec<T> (&acc)[Rows][Vectors]) {
  constexpr int kRowStep = kWalk == Walk::columns ? 1 : kPanel<T>;
  constexpr int kDepthStep = kWalk == Walk::columns ? kPanel<T> : 1;
  for (std::int64_t k = 0; k < depth; ++k, a += kDepthStep) {
    const T* b_row = b + (kWalk == Walk::listed_rows ? b_rows[k] : k) * kPanel<T>;
    Vec<T> lanes[Vectors];
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) lanes[j] = load(b_row + j * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> broadcast = splat<T>(a[i * kRowStep]);
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) acc[i][j] = fma(broadcast, lanes[j], acc[i][j]);
    }
  }
}

/// Writes a register tile to memory: vector `j` of row `row` of the product.
template <typename T>
struct StoreTile {
  T* c;
  const std::int32_t* rows;  // panel row of c for each row; null: `row` itself
  void prepare(std::int64_t, int, int) const {}
  void operator()(std::int64_t row, int j, Vec<T> value) const {
    store(c + (rows != nullptr ? rows[row] : row) * kPanel<T> + j * kLanes<T>, value);
  }
};

/// Updates parameters from a register tile of their gradients, which never go to memory.
template <typename T, typename Rule>
struct UpdateTile {
  T* weights;
  T* slots;
  std::int64_t slot_stride;
  const std::int32_t* rows;  // as in StoreTile
  UpdateSettings<T> settings;
  std::int64_t offset(std::int64_t row, int j) const {
    return (rows != nullptr ? rows[row] : row) * kPanel<T> + j * kLanes<T>;
  }
  /// Prefetches the parameters that the tile will update, while its product is computed.
  __attribute__((always_inline)) void prepare(std::int64_t row, int height, int vectors) const {
    for (int i = 0; i < height; ++i) {
      for (int j = 0; j < vectors; ++j) {
        __builtin_prefetch(weights + offset(row + i, j), 1);
        for (int slot = 0; slot < Rule::kSlots; ++slot) {
          __builtin_prefetch(slots + slot * slot_stride + offset(row + i, j), 1);
        }
      }
    }
  }
  void operator()(std::int64_t row, int j, Vec<T> gradient) const {
    const std::int64_t at = offset(row, j);
    update_lanes<T, Rule>(weights + at, Rule::kSlots > 0 ? slots + at : nullptr, slot_stride, gradient, settings);
  }
};

/// One depth block of a product: the slice of the operands that a tile sees.
template <typename T>
struct DepthBlock {
  std::int64_t depth;
  const T* a;
  std::int64_t a_panel_stride;
  const T* b;
  const std::int32_t* b_rows;
  const T* partial;  // sums so far, or null
  const T* next_a;   // as in Product
  const T* next_b;
};

/// One register tile, k ascending, starting from +0 or from the partial sums.
template <typename T, Walk kWalk, int Rows, int Vectors, typename Finish>
static void tile(const DepthBlock<T>& block, std::int64_t row, const Finish& shared) {
  const Finish finish = shared;                // a copy, which stores of the result cannot change
  constexpr std::int64_t kWorthFetching = 64;  // a shorter product ends before the parameters arrive
  if (block.depth >= kWorthFetching) finish.prepare(row, Rows, Vectors);
  Vec<T> acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) {
      acc[i][j] = block.partial != nullptr ? load(block.partial + (row + i) * kPanel<T> + j * kLanes<T>) : Vec<T>{};
    }
  }
  if constexpr (kWalk == Walk::columns) {
    tile_steps<T, Rows, Vectors, kWalk>(block.depth, block.a + row, block.b, nullptr, acc);
  } else {
    const T* a = block.a + row * kPanel<T>;
    for (std::int64_t k = 0; k < block.depth; k += kPanel<T>, a += block.a_panel_stride) {
      if (block.next_a != nullptr) fetch_lines(a + (block.next_a - block.a), Rows * kPanel<T> / kLine<T>);
      const std::int64_t left = block.depth - k;
      const bool listed = kWalk == Walk::listed_rows;
      tile_steps<T, Rows, Vectors, kWalk>(left < kPanel<T> ? left : kPanel<T>, a,
                                          listed ? block.b : block.b + k * kPanel<T>,
                                          listed ? block.b_rows + k : nullptr, acc);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) finish(row + i, j, acc[i][j]);
  }
}

template <typename T, typename Finish>
using TileFunction = void (*)(const DepthBlock<T>&, std::int64_t, const Finish&);

/// The tile for the given number of rows, chosen among the instantiations 1..Rows.
template <typename T, Walk kWalk, int Rows, int Vectors, typename Finish>
static inline TileFunction<T, Finish> select_rows(std::int64_t rows) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return select_rows<T, kWalk, Rows - 1, Vectors, Finish>(rows);
  }
  return tile<T, kWalk, Rows, Vectors, Finish>;
}

template <typename T, Walk kWalk, int Vectors, typename Finish>
static inline TileFunction<T, Finish> select_tile(std::int64_t rows, std::int64_t vectors) {
  if constexpr (Vectors > 1) {
    if (vectors < Vectors) return select_tile<T, kWalk, Vectors - 1, Finish>(rows, vectors);
  }
  return select_rows<T, kWalk, kTileRows<T>, Vectors, Finish>(rows);
}

/// Cuts the rows into tiles of nearly equal height, so that no thin tile is left over at the edge.
template <typename T, Walk kWalk, typename Finish>
static void tile_rows(std::int64_t rows, std::int64_t vectors, const DepthBlock<T>& block, const Finish& finish) {
  const std::int64_t tiles = (rows + kTileRows<T> - 1) / kTileRows<T>;
  const std::int64_t height = rows / tiles;
  const std::int64_t taller = rows % tiles;
  const auto tall_tile = select_tile<T, kWalk, kVectors<T>, Finish>(height + 1, vectors);
  const auto short_tile = select_tile<T, kWalk, kVectors<T>, Finish>(height, vectors);
  const std::int64_t lines = block.depth * (kPanel<T> / kLine<T>) / tiles;
  std::int64_t row = 0;
  for (std::int64_t t = 0; t < tiles; ++t) {
    if (block.next_b != nullptr) fetch_lines(block.next_b + t * lines * kLine<T>, lines);
    const bool tall = t < taller;
    (tall ? tall_tile : short_tile)(block, row, finish);
    row += height + tall;
  }
}

/// Blocks of the depth; partial sums rest in product.c, `finish` receives the complete ones.
template <typename T, Walk kWalk, typename Finish>
static void multiply(const Product<T>& product, const Finish& finish) {
  // Prefetching b is worth its time only if many tiles share it.
  const bool fetches_b = product.next_b != nullptr && product.rows >= 4 * kTileRows<T>;
  for (std::int64_t k = 0; k < product.depth; k += kDepthBlock<T>) {
    const std::int64_t left = product.depth - k;
    const std::int64_t a_offset = kWalk == Walk::columns ? k * kPanel<T> : k / kPanel<T> * product.a_panel_stride;
    const bool listed = kWalk == Walk::listed_rows;
    DepthBlock<T> block{left < kDepthBlock<T> ? left : kDepthBlock<T>,
                        product.a + a_offset,
                        product.a_panel_stride,
                        listed ? product.b : product.b + k * kPanel<T>,
                        listed ? product.b_rows + k : nullptr,
                        k > 0 || product.accumulate ? product.c : nullptr,
                        product.next_a != nullptr ? product.next_a + a_offset : nullptr,
                        fetches_b ? product.next_b : nullptr};
    if (left > kDepthBlock<T>) {
      if (fetches_b) block.next_b = block.b + kDepthBlock<T> * kPanel<T>;
      tile_rows<T, kWalk>(product.rows, product.vectors, block, StoreTile<T>{product.c, nullptr});
    } else {
      tile_rows<T, kWalk>(product.rows, product.vectors, block, finish);
    }
  }
}

template <typename T>
static void gemm_nn(const Product<T>& product) {
  const StoreTile<T> to_c{product.c, nullptr};
  if (product.b_rows != nullptr) {
    multiply<T, Walk::listed_rows>(product, to_c);
  } else {
    multiply<T, Walk::rows>(product, to_c);
  }
}

template <typename T>
static void gemm_tn(const Product<T>& product, T* result, const std::int32_t* result_rows) {
  multiply<T, Walk::columns>(product, StoreTile<T>{result, result_rows});
}

template <typename T, typename Rule>
static void gemm_tn_update(const Product<T>& product, T* weights, T* slots, std::int64_t slot_stride,
                           const std::int32_t* weight_rows, const UpdateSettings<T>& settings) {
  multiply<T, Walk::columns>(product, UpdateTile<T, Rule>{weights, slots, slot_stride, weight_rows, settings});
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

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

/// Elements of a panel row of the operand that is read along its rows.
template <typename E>
constexpr int kRowElements = std::is_same_v<E, Pair> ? kPanel<E> / 2 : kPanel<E>;

/// How a tile walks through its operands: a along its rows or its columns; b row by row or by a list of rows.
enum class Walk { rows, columns, listed_rows };

/// Starts fetching `lines` cache lines into the second-level cache. Always inline, here and below: to GCC a function
/// that only prefetches has no effect, and it drops the call.
template <typename T>
static inline __attribute__((always_inline)) void fetch_lines(const T* from, std::int64_t lines) {
  for (std::int64_t i = 0; i < lines; ++i) __builtin_prefetch(from + i * kLine<T>, 0, 2);
}

/// The panel row of b for step k of a tile.
template <typename E, Walk kWalk>
static inline const E* row_of_b(const E* b, const std::int32_t* b_rows, std::int64_t k) {
  return b + (kWalk == Walk::listed_rows ? b_rows[k] : k) * kPanel<E>;
}

/// tile_steps for pairs whose products are those of their halves. The halves of a are taken a vector at a time, in
/// memory, from where they are broadcast: to take them after each broadcast would cost as much as the products.
template <int Rows, int Vectors, Walk kWalk>
static inline __attribute__((always_inline)) void halves_steps(std::int64_t depth, const Pair* a, std::int64_t row,
                                                               const Pair* b, const std::int32_t* b_rows,
                                                               Vec<float> (&acc)[Rows][Vectors]) {
  constexpr int kSteps = kLanes<Pair>;  // taken at a time
  constexpr bool kColumns = kWalk == Walk::columns;
  static_assert(kRowElements<Pair> % kSteps == 0 && Rows <= kSteps);
  // Of a's columns those of a whole vector are taken, which must not reach beyond the panel.
  constexpr std::int64_t kLastLane = kPanel<Pair> - kSteps;
  const std::int64_t lane = row < kLastLane ? row : kLastLane;
  a += kColumns ? lane : row * kRowElements<Pair>;
  constexpr int kTaken = kColumns ? kSteps : Rows;
  alignas(FASTMLP_VECTOR_BYTES) float first[kTaken][kSteps];
  alignas(FASTMLP_VECTOR_BYTES) float second[kTaken][kSteps];
  const auto number = [&](const float (&half)[kTaken][kSteps], int i, std::int64_t k) {
    return splat<float>(kColumns ? half[k][row - lane + i] : half[i][k]);
  };
  for (std::int64_t begin = 0; begin < depth; begin += kSteps) {
    const std::int64_t steps = depth - begin < kSteps ? depth - begin : kSteps;
    const int taken = kColumns ? static_cast<int>(steps) : Rows;
#pragma GCC unroll 1
    for (int i = 0; i < taken; ++i) {
      const PairHalves both =
          halves(load(a + (kColumns ? (begin + i) * kPanel<Pair> : i * kRowElements<Pair> + begin)));
      store(first[i], both.first);
      store(second[i], both.second);
    }
    for (std::int64_t k = 0; k < steps; ++k) {
      const Pair* b_row = row_of_b<Pair, kWalk>(b, b_rows, begin + k);
      PairHalves lanes[Vectors];
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) lanes[j] = halves(load(b_row + j * kLanes<Pair>));
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const Vec<float> broadcast = number(second, i, k);
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; ++j) acc[i][j] = fma(broadcast, lanes[j].second, acc[i][j]);
      }
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const Vec<float> broadcast = number(first, i, k);
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; ++j) acc[i][j] = fma(broadcast, lanes[j].first, acc[i][j]);
      }
    }
  }
}

#ifdef FASTMLP_WIDE_SUMS
/// `steps` steps of Rows x Count vectors whose sums are doubles, rounded to float after each step. kSafe: by sums
/// rounded to odd, which are right wherever they lie. Else returns whether one of them lay midway between two floats.
template <bool kSafe, int Rows, int Count, Walk kWalk>
static inline __attribute__((always_inline)) bool wide_group(std::int64_t steps, const DoubleLanes (*broadcast)[Rows],
                                                             const float* b, const std::int32_t* b_rows,
                                                             std::int64_t begin, WideLanes (&wide)[Rows][Count]) {
  WordLanes4 midways{};
  for (std::int64_t k = 0; k < steps; ++k) {
    const float* b_row = row_of_b<float, kWalk>(b, b_rows, begin + k);
#pragma GCC unroll 2
    for (int g = 0; g < Count; ++g) {
      const WideLanes lanes = widened(load(b_row + g * kLanes<float>));
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        WideLanes& sums = wide[i][g];
        if constexpr (kSafe) {
          sums = {odd_sum(broadcast[k][i] * lanes.low, sums.low), odd_sum(broadcast[k][i] * lanes.high, sums.high)};
        } else {
          sums = {broadcast[k][i] * lanes.low + sums.low, broadcast[k][i] * lanes.high + sums.high};
          midways |= midway(sums.low) | midway(sums.high);
        }
        sums = {rounded_to_floats(sums.low), rounded_to_floats(sums.high)};
      }
    }
  }
  return any((BitLanes)midways);
}

/// tile_steps where fma is computed in double, in blocks of steps. Operands with few bits, such as 0 and 1, often have
/// sums midway between two floats: after the first of them the tile takes sums that are safe. Subnormal results must be
/// flushed.
template <int Rows, int Vectors, Walk kWalk>
static inline void wide_steps(std::int64_t depth, const float* a, std::int64_t row, const float* b,
                              const std::int32_t* b_rows, Vec<float> (&acc)[Rows][Vectors]) {
  constexpr int kSteps = 32;
  constexpr int kRowStep = kWalk == Walk::columns ? 1 : kRowElements<float>;
  constexpr int kDepthStep = kWalk == Walk::columns ? kPanel<float> : 1;
  constexpr int kCount = Vectors % 2 == 0 ? 2 : 1;  // vectors whose sums fit into registers
  DoubleLanes broadcast[kSteps][Rows];
  bool safe = false;
  a += row * kRowStep;
  for (std::int64_t begin = 0; begin < depth; begin += kSteps) {
    const std::int64_t steps = depth - begin < kSteps ? depth - begin : kSteps;
    for (std::int64_t k = 0; k < steps; ++k, a += kDepthStep) {
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) broadcast[k][i] = static_cast<double>(a[i * kRowStep]) - DoubleLanes{};
    }
    for (int j = 0; j < Vectors; j += kCount) {
      const float* lanes = b + j * kLanes<float>;
      WideLanes wide[Rows][kCount];
      const auto take = [&] {
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
          for (int g = 0; g < kCount; ++g) wide[i][g] = widened(acc[i][j + g]);
        }
      };
      take();
      if (!safe && wide_group<false, Rows, kCount, kWalk>(steps, broadcast, lanes, b_rows, begin, wide)) {
        safe = true;
        take();
      }
      if (safe) wide_group<true, Rows, kCount, kWalk>(steps, broadcast, lanes, b_rows, begin, wide);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
        for (int g = 0; g < kCount; ++g) acc[i][j + g] = narrowed(wide[i][g]);
      }
    }
  }
}
#endif

/// `depth` steps of a Rows x Vectors register tile. Row i of a starts kRowStep elements after row i - 1; one step
/// of the depth is kDepthStep elements. `row` is the first of the panel of a, along whose columns a may be read.
template <typename E, int Rows, int Vectors, Walk kWalk>
static inline __attribute__((always_inline)) void tile_steps(std::int64_t depth, const E* a, std::int64_t row,
                                                             const E* b, const std::int32_t* b_rows,
                                                             Vec<Sum<E>> (&acc)[Rows][Vectors]) {
  if constexpr (kHasHalves<E>) {
    return halves_steps<Rows, Vectors, kWalk>(depth, a, row, b, b_rows, acc);
  } else {
#ifdef FASTMLP_WIDE_SUMS
    if constexpr (std::is_same_v<E, float>) {
      if (flushes_subnormals()) return wide_steps<Rows, Vectors, kWalk>(depth, a, row, b, b_rows, acc);
    }
#endif
    constexpr int kRowStep = kWalk == Walk::columns ? 1 : kRowElements<E>;
    constexpr int kDepthStep = kWalk == Walk::columns ? kPanel<E> : 1;
    a += row * kRowStep;
    for (std::int64_t k = 0; k < depth; ++k, a += kDepthStep) {
      const E* b_row = row_of_b<E, kWalk>(b, b_rows, k);
      // The operand of which the tile has fewer vectors stays in registers.
      if constexpr (Rows < Vectors) {
        Vec<E> broadcast[Rows];
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) broadcast[i] = splat<E>(a[i * kRowStep]);
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; ++j) {
          const Vec<E> lanes = load(b_row + j * kLanes<E>);
#pragma GCC unroll 16
          for (int i = 0; i < Rows; ++i) acc[i][j] = multiply_add<E>(broadcast[i], lanes, acc[i][j]);
        }
      } else {
        Vec<E> lanes[Vectors];
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; ++j) lanes[j] = load(b_row + j * kLanes<E>);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
          const Vec<E> broadcast = splat<E>(a[i * kRowStep]);
#pragma GCC unroll 8
          for (int j = 0; j < Vectors; ++j) acc[i][j] = multiply_add<E>(broadcast, lanes[j], acc[i][j]);
        }
      }
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

/// One depth block of a product: the slice of the operands that a tile sees.
template <typename E>
struct DepthBlock {
  std::int64_t depth;
  const E* a;
  std::int64_t a_panel_stride;
  const E* b;
  const std::int32_t* b_rows;
  const Sum<E>* partial;  // sums so far, or null
  const E* next_a;        // as in Product
  const E* next_b;
};

/// One register tile, k ascending, starting from +0 or from the partial sums.
template <typename E, Walk kWalk, int Rows, int Vectors, typename Finish>
static void tile(const DepthBlock<E>& block, std::int64_t row, const Finish& shared) {
  using T = Sum<E>;
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
    tile_steps<E, Rows, Vectors, kWalk>(block.depth, block.a, row, block.b, nullptr, acc);
  } else {
    const E* a = block.a;
    for (std::int64_t k = 0; k < block.depth; k += kRowElements<E>, a += block.a_panel_stride) {
      if (block.next_a != nullptr) {
        fetch_lines(a + row * kRowElements<E> + (block.next_a - block.a), Rows * kRowElements<E> / kLine<E>);
      }
      const std::int64_t left = block.depth - k;
      const bool listed = kWalk == Walk::listed_rows;
      tile_steps<E, Rows, Vectors, kWalk>(left < kRowElements<E> ? left : kRowElements<E>, a, row,
                                          listed ? block.b : block.b + k * kPanel<E>,
                                          listed ? block.b_rows + k : nullptr, acc);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) finish(row + i, j, acc[i][j]);
  }
}

template <typename E, typename Finish>
using TileFunction = void (*)(const DepthBlock<E>&, std::int64_t, const Finish&);

/// The tile for the given number of rows, chosen among the instantiations 1..Rows.
template <typename E, Walk kWalk, int Rows, int Vectors, typename Finish>
static inline TileFunction<E, Finish> select_rows(std::int64_t rows) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return select_rows<E, kWalk, Rows - 1, Vectors, Finish>(rows);
  }
  return tile<E, kWalk, Rows, Vectors, Finish>;
}

template <typename E, Walk kWalk, int Vectors, typename Finish>
static inline TileFunction<E, Finish> select_tile(std::int64_t rows, std::int64_t vectors) {
  if constexpr (Vectors > 1) {
    if (vectors < Vectors) return select_tile<E, kWalk, Vectors - 1, Finish>(rows, vectors);
  }
  return select_rows<E, kWalk, kTileRows<E>, Vectors, Finish>(rows);
}

/// Cuts the rows into tiles of nearly equal height, so that no thin tile is left over at the edge.
template <typename E, Walk kWalk, typename Finish>
static void tile_rows(std::int64_t rows, std::int64_t vectors, const DepthBlock<E>& block, const Finish& finish) {
  const std::int64_t tiles = (rows + kTileRows<E> - 1) / kTileRows<E>;
  const std::int64_t height = rows / tiles;
  const std::int64_t taller = rows % tiles;
  const auto tall_tile = select_tile<E, kWalk, kVectors<E>, Finish>(height + 1, vectors);
  const auto short_tile = select_tile<E, kWalk, kVectors<E>, Finish>(height, vectors);
  const std::int64_t lines = block.depth * (kPanel<E> / kLine<E>) / tiles;
  std::int64_t row = 0;
  for (std::int64_t t = 0; t < tiles; ++t) {
    if (block.next_b != nullptr) fetch_lines(block.next_b + t * lines * kLine<E>, lines);
    const bool tall = t < taller;
    (tall ? tall_tile : short_tile)(block, row, finish);
    row += height + tall;
  }
}

/// Blocks of the depth; partial sums rest in product.c, `finish` receives the complete ones.
template <typename E, Walk kWalk, typename Finish>
static void multiply(const Product<E>& product, const Finish& finish) {
  // Prefetching b is worth its time only if many tiles share it.
  const bool fetches_b = product.next_b != nullptr && product.rows >= 4 * kTileRows<E>;
  for (std::int64_t k = 0; k < product.depth; k += kDepthBlock<E>) {
    const std::int64_t left = product.depth - k;
    const std::int64_t a_offset = kWalk == Walk::columns ? k * kPanel<E> : k / kRowElements<E> * product.a_panel_stride;
    const bool listed = kWalk == Walk::listed_rows;
    DepthBlock<E> block{left < kDepthBlock<E> ? left : kDepthBlock<E>,
                        product.a + a_offset,
                        product.a_panel_stride,
                        listed ? product.b : product.b + k * kPanel<E>,
                        listed ? product.b_rows + k : nullptr,
                        k > 0 || product.accumulate ? product.c : nullptr,
                        product.next_a != nullptr ? product.next_a + a_offset : nullptr,
                        fetches_b ? product.next_b : nullptr};
    if (left > kDepthBlock<E>) {
      if (fetches_b) block.next_b = block.b + kDepthBlock<E> * kPanel<E>;
      tile_rows<E, kWalk>(product.rows, product.vectors, block, StoreTile<Sum<E>>{product.c, nullptr});
    } else {
      tile_rows<E, kWalk>(product.rows, product.vectors, block, finish);
    }
  }
}

template <typename E>
static void gemm_nn(const Product<E>& product) {
  const StoreTile<Sum<E>> to_c{product.c, nullptr};
  if (product.b_rows != nullptr) {
    multiply<E, Walk::listed_rows>(product, to_c);
  } else {
    multiply<E, Walk::rows>(product, to_c);
  }
}

template <typename E>
static void gemm_tn(const Product<E>& product, Sum<E>* result, const std::int32_t* result_rows) {
  multiply<E, Walk::columns>(product, StoreTile<Sum<E>>{result, result_rows});
}

/// One stage of the transpose: exchanges the off-diagonal kStep x kStep blocks of each 2 kStep x 2 kStep block.
template <typename T, int kStep>
static inline void exchange_blocks(Vec<T> (&row)[kLanes<T>]) {
  if constexpr (kStep >= 1) {
    const auto upper = [](int lane) constexpr { return (lane & kStep) != 0 ? kLanes<T> + lane - kStep : lane; };
    const auto lower = [](int lane) constexpr { return (lane & kStep) != 0 ? kLanes<T> + lane : lane + kStep; };
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      if ((i & kStep) != 0) continue;
      const Vec<T> a = row[i];
      const Vec<T> b = row[i + kStep];
      row[i] = shuffle<T>(a, b, upper);
      row[i + kStep] = shuffle<T>(a, b, lower);
    }
    exchange_blocks<T, kStep / 2>(row);
  }
}

/// kSourcePanel: elements of a panel row of the source.
template <typename T, std::int64_t kSourcePanel>
static inline void transpose_panel(std::int64_t rows, std::int64_t cols, const T* source, T* destination) {
  for (std::int64_t i0 = 0; i0 < kPanel<T>; i0 += kLanes<T>) {
    for (std::int64_t j0 = 0; j0 < cols; j0 += kLanes<T>) {
      Vec<T> row[kLanes<T>];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes<T>; ++i) {
        row[i] = i0 + i < rows ? load(source + (i0 + i) * kSourcePanel + j0) : Vec<T>{};
      }
      exchange_blocks<T, kLanes<T> / 2>(row);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes<T>; ++j) {
        if (j0 + j < cols) store(destination + (j0 + j) * kPanel<T> + i0, row[j]);
      }
    }
  }
}

template <typename T>
static void transpose(std::int64_t rows, std::int64_t cols, const T* source, T* destination) {
  transpose_panel<T, kPanel<T>>(rows, cols, source, destination);
}

}  // namespace fastmlp::FASTMLP_ISA

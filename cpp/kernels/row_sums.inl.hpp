// Sums over the rows of one panel, in an order that keeps their error small however many rows there are. Included by
// table.inl.hpp only.
//
// Rows are added in blocks of 128, ascending, each from +0. The sums of blocks are added as a binary counter carries,
// which is a pairwise tree: an error of 127 + log2(blocks) roundings instead of one for each row. N. Higham, "The
// accuracy of floating point summation", SIAM Journal on Scientific Computing 14, 1993.

namespace fastmlp::FASTMLP_ISA {

constexpr std::int64_t kRowsOfBlock = 128;
/// Levels of the tree: enough for 2^55 rows.
constexpr int kBlockLevels = 48;

/// totals[i] = sum over rows of the terms that add(row, sums) adds to sums[i], for one vector of columns.
template <typename T, int kSums, typename Add>
static inline void sum_rows(std::int64_t rows, Vec<T> (&totals)[kSums], Add add) {
  Vec<T> waiting[kBlockLevels][kSums];
  std::int64_t blocks = 0;
  for (std::int64_t first = 0; first < rows; first += kRowsOfBlock, ++blocks) {
    const std::int64_t last = first + kRowsOfBlock < rows ? first + kRowsOfBlock : rows;
    Vec<T> sums[kSums] = {};
    for (std::int64_t row = first; row < last; ++row) add(row, sums);
    // Sums of equally many blocks join; waiting[level] is that of 2^level blocks where `blocks` has that bit.
    int level = 0;
    for (; (blocks >> level & 1) != 0; ++level) {
      for (int i = 0; i < kSums; ++i) sums[i] = waiting[level][i] + sums[i];
    }
    for (int i = 0; i < kSums; ++i) waiting[level][i] = sums[i];
  }
  for (int i = 0; i < kSums; ++i) totals[i] = Vec<T>{};
  for (int level = 0; blocks >> level != 0; ++level) {
    if ((blocks >> level & 1) == 0) continue;
    for (int i = 0; i < kSums; ++i) totals[i] = waiting[level][i] + totals[i];
  }
}

}  // namespace fastmlp::FASTMLP_ISA

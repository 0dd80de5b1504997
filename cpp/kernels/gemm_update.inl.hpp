// The product that is the gradient of weights, and their update in one pass. Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

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

template <typename T, typename Rule>
static void gemm_tn_update(const Product<T>& product, T* weights, T* slots, std::int64_t slot_stride,
                           const std::int32_t* weight_rows, const UpdateSettings<T>& settings) {
  multiply<T, Walk::columns>(product, UpdateTile<T, Rule>{weights, slots, slot_stride, weight_rows, settings});
}

}  // namespace fastmlp::FASTMLP_ISA

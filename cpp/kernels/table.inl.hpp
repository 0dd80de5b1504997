// Assembles the table of one instruction set; each isa_*.cpp includes this file once. Everything lives in that
// set's own namespace and has internal linkage, because code compiled for different sets must never be merged.
#include <cstdint>

#include "kernels/kernel_table.hpp"

#include "kernels/vec.inl.hpp"
//
#include "kernels/math.inl.hpp"
//
#include "kernels/activation.inl.hpp"
#include "kernels/gather.inl.hpp"
#include "kernels/loss.inl.hpp"
#include "kernels/optimizer.inl.hpp"
#include "kernels/peak.inl.hpp"
//
#include "kernels/gemm.inl.hpp"

#define FASTMLP_STRING_(x) #x
#define FASTMLP_STRING(x) FASTMLP_STRING_(x)

namespace fastmlp::FASTMLP_ISA {

template <typename T, typename Rule>
constexpr auto update_function = update<T, Rule>;
template <typename T, typename Rule>
constexpr int slot_count = Rule::kSlots;
template <typename T, typename Rule>
static constexpr auto select_update_product() {
  if constexpr (Rule::kInRegisters) {
    return gemm_at_update<T, Rule>;
  } else {
    return nullptr;
  }
}
template <typename T, typename Rule>
constexpr auto update_product = select_update_product<T, Rule>();

// The order of each list is that of its enum in kernel_table.hpp.
#define FASTMLP_OPTIMIZERS(entry)   \
  {entry<T, Sgd>,                   \
   entry<T, Momentum>,              \
   entry<T, Nesterov>,              \
   entry<T, Adagrad>,               \
   entry<T, RmsProp<false, false>>, \
   entry<T, RmsProp<false, true>>,  \
   entry<T, RmsProp<true, false>>,  \
   entry<T, RmsProp<true, true>>,   \
   entry<T, Adam<false>>,           \
   entry<T, Adam<true>>,            \
   entry<T, Adamax>,                \
   entry<T, Nadam>,                 \
   entry<T, Lion>}

template <typename T>
static constexpr KernelTable<T> make_table() {
  return {FASTMLP_STRING(FASTMLP_ISA),
          kLanes<T>,
          kPanel<T>,
          kTileRows<T>,
          gemm<T>,
          gemm_at<T>,
          FASTMLP_OPTIMIZERS(update_product),
          transpose<T>,
          {activate<T, Identity>, activate<T, Relu>, activate<T, Sigmoid>, activate<T, Tanh>},
          {activate_backward<T, Identity>, activate_backward<T, Relu>, activate_backward<T, Sigmoid>,
           activate_backward<T, Tanh>},
          column_sums<T>,
          {softmax_cross_entropy<T>, mse<T>},
          softmax<T>,
          argmax<T>,
          FASTMLP_OPTIMIZERS(update_function),
          FASTMLP_OPTIMIZERS(slot_count),
          {gather<T, std::uint8_t>, gather<T, T>},
          {mark_nonzero<std::uint8_t>, mark_nonzero<T>},
          {gather_columns<T, std::uint8_t>, gather_columns<T, T>},
          fma_chains<T>,
          {apply_elementwise<T, exp<T>>, apply_elementwise<T, log<T>>, apply_elementwise<T, tanh<T>>,
           apply_elementwise<T, sigmoid<T>>},
          all_finite<T>};
}

extern const KernelTable<float> kTableFloat;
extern const KernelTable<double> kTableDouble;
constinit const KernelTable<float> kTableFloat = make_table<float>();
constinit const KernelTable<double> kTableDouble = make_table<double>();

}  // namespace fastmlp::FASTMLP_ISA

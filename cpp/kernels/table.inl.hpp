// Assembles the table of one instruction set; each isa_*.cpp includes this file once. Everything lives in that
// set's own namespace and has internal linkage, because code compiled for different sets must never be merged.
#include <cstdint>

#include "kernels/kernel_table.hpp"

#include "kernels/vec.inl.hpp"
//
#include "kernels/math.inl.hpp"
#include "kernels/row_sums.inl.hpp"
//
#include "kernels/activation.inl.hpp"
#include "kernels/batch_norm.inl.hpp"
#include "kernels/gather.inl.hpp"
#include "kernels/optimizer.inl.hpp"
#include "kernels/output_row.inl.hpp"
#include "kernels/peak.inl.hpp"
#include "kernels/random.inl.hpp"
//
#include "kernels/array.inl.hpp"
#include "kernels/class_loss.inl.hpp"
#include "kernels/elementwise_loss.inl.hpp"
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

template <typename T, typename Rule>
constexpr auto activation_function = activate<T, Rule>;
template <typename T, typename Rule>
constexpr auto activation_backward = activate_backward<T, Rule>;
template <typename T, typename Rule>
constexpr bool slope_from_output = Rule::kSlopeFromOutput;

#define FASTMLP_ACTIVATIONS(entry)                                                                        \
  {entry<T, Identity>, entry<T, Step>,     entry<T, Sign>,      entry<T, Sigmoid>, entry<T, HardSigmoid>, \
   entry<T, Tanh>,     entry<T, Relu>,     entry<T, LeakyRelu>, entry<T, Elu>,     entry<T, Selu>,        \
   entry<T, Gelu>,     entry<T, GeluTanh>, entry<T, Silu>,      entry<T, Softplus>}

template <typename T>
static constexpr KernelTable<T> make_table() {
  return {
      FASTMLP_STRING(FASTMLP_ISA),
      kLanes<T>,
      kPanel<T>,
      kTileRows<T>,
      gemm<T>,
      gemm_at<T>,
      FASTMLP_OPTIMIZERS(update_product),
      transpose<T>,
      FASTMLP_ACTIVATIONS(activation_function),
      FASTMLP_ACTIVATIONS(activation_backward),
      FASTMLP_ACTIVATIONS(slope_from_output),
      multiply<T>,
      dropout<T>,
      add_noise<T>,
      column_moments<T>,
      normalise<T>,
      normalise_backward<T>,
      column_sums<T>,
      {softmax_cross_entropy<T>, hinge<T>, elementwise_loss<T, BinaryCrossEntropy>, elementwise_loss<T, SquaredError>,
       elementwise_loss<T, HalfSquaredError>, elementwise_loss<T, AbsoluteError>, elementwise_loss<T, HuberLoss>,
       elementwise_loss<T, PoissonLoss>, elementwise_loss<T, QuantileLoss>, nullptr},
      softmax<T>,
      softmax_backward<T>,
      argmax<T>,
      FASTMLP_OPTIMIZERS(update_function),
      FASTMLP_OPTIMIZERS(slot_count),
      clip<T>,
      move_averages<T>,
      column_squares<T>,
      limit_norms<T>,
      {gather<T, std::uint8_t>, gather<T, T>},
      {mark_nonzero<std::uint8_t>, mark_nonzero<T>},
      {gather_columns<T, std::uint8_t>, gather_columns<T, T>},
      fma_chains<T>,
      {apply_elementwise<T, exp<T>>, apply_elementwise<T, log<T>>, apply_elementwise<T, tanh<T>>,
       apply_elementwise<T, sigmoid<T>>, apply_elementwise<T, log1p<T>>, apply_elementwise<T, normal_cdf<T>>,
       apply_elementwise<T, inverse_normal_cdf<T>>},
      all_finite<T>};
}

extern const KernelTable<float> kTableFloat;
extern const KernelTable<double> kTableDouble;
constinit const KernelTable<float> kTableFloat = make_table<float>();
constinit const KernelTable<double> kTableDouble = make_table<double>();

}  // namespace fastmlp::FASTMLP_ISA

// Assembles the table of one instruction set; each isa_*.cpp includes this file once. Everything lives in that
// set's own namespace and has internal linkage, because code compiled for different sets must never be merged.
#include <cstdint>

#include "kernels/kernel_table.hpp"

#include "kernels/vec.inl.hpp"
//
#include "kernels/factor.inl.hpp"
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
#include "kernels/embedding.inl.hpp"
#include "kernels/gemm.inl.hpp"
#include "kernels/layer_norm.inl.hpp"
//
#include "kernels/bfloat16.inl.hpp"
#include "kernels/gemm_update.inl.hpp"

namespace fastmlp::FASTMLP_ISA {

/// Only short rules update from the registers of the product.
template <typename T, typename Rule>
static constexpr auto select_gemm_tn_update() {
  if constexpr (Rule::kInRegisters) {
    return gemm_tn_update<T, Rule>;
  } else {
    return nullptr;
  }
}

// One entry of an array of the table for each line of a family's list. Rules come last: some hold commas.
#define FASTMLP_ACTIVATE(name, ...) activate<T, __VA_ARGS__>,
#define FASTMLP_ACTIVATE_BACKWARD(name, ...) activate_backward<T, __VA_ARGS__>,
#define FASTMLP_ACTIVATE_MIXED(name, ...) activate_mixed<T, __VA_ARGS__>,
#define FASTMLP_DERIVATIVE_FROM_OUTPUT(name, ...) __VA_ARGS__::kDerivativeFromOutput,
#define FASTMLP_LOSS(name, targets, ...) __VA_ARGS__::template measure<T>,
#define FASTMLP_GEMM_TN_UPDATE(name, ...) select_gemm_tn_update<T, __VA_ARGS__>(),
#define FASTMLP_UPDATE(name, ...) update<T, __VA_ARGS__>,
#define FASTMLP_SLOTS(name, ...) __VA_ARGS__::kSlots,
#define FASTMLP_EMBED(name, ...) embed<T, __VA_ARGS__>,
#define FASTMLP_EMBED_BACKWARD(name, ...) embed_backward<T, __VA_ARGS__>,
#define FASTMLP_APPLY(name) apply_elementwise<T, name<T>>,

template <typename T>
static constexpr KernelTable<T> make_table() {
  return {
      .lanes = kLanes<T>,
      .panel = kPanel<T>,
      .tile_rows = kTileRows<T>,
      .gemm_nn = gemm_nn<T>,
      .gemm_tn = gemm_tn<T>,
      .gemm_tn_update = {FASTMLP_OPTIMIZERS(FASTMLP_GEMM_TN_UPDATE)},
      .transpose = transpose<T>,
      .activate = {FASTMLP_ACTIVATIONS(FASTMLP_ACTIVATE)},
      .activate_backward = {FASTMLP_ACTIVATIONS(FASTMLP_ACTIVATE_BACKWARD)},
      .derivative_from_output = {FASTMLP_ACTIVATIONS(FASTMLP_DERIVATIVE_FROM_OUTPUT)},
      .multiply = multiply<T>,
      .activate_mixed = {FASTMLP_ACTIVATIONS(FASTMLP_ACTIVATE_MIXED)},
      .multiply_mixed = multiply_mixed<T>,
      .scale_columns = scale_columns<T>,
      .dot_columns = dot_columns<T>,
      .dropout = dropout<T>,
      .add_noise = add_noise<T>,
      .column_moments = column_moments<T>,
      .normalize = normalize<T>,
      .normalize_backward = normalize_backward<T>,
      .normalize_rows = normalize_rows<T>,
      .normalize_rows_backward = normalize_rows_backward<T>,
      .add_rows = add_rows<T>,
      .column_sums = column_sums<T>,
      .loss = {FASTMLP_LOSSES(FASTMLP_LOSS) nullptr},  // the last one is the user's
      .softmax = softmax<T>,
      .softmax_backward = softmax_backward<T>,
      .argmax = argmax<T>,
      .update = {FASTMLP_OPTIMIZERS(FASTMLP_UPDATE)},
      .slots = {FASTMLP_OPTIMIZERS(FASTMLP_SLOTS)},
      .clip = clip<T>,
      .add = add<T>,
      .move_averages = move_averages<T>,
      .column_squares = column_squares<T>,
      .limit_norms = limit_norms<T>,
      .gather = {gather<T, std::uint8_t>, gather<T, Half>, gather<T, float>, gather<T, double>},
      .mark_nonzero = {mark_nonzero<std::uint8_t>, mark_nonzero<Half>, mark_nonzero<float>, mark_nonzero<double>},
      .gather_columns = {gather_columns<T, std::uint8_t>, gather_columns<T, Half>, gather_columns<T, float>,
                         gather_columns<T, double>},
      .gather_standardized = {gather_standardized<T, std::uint8_t>, gather_standardized<T, Half>,
                              gather_standardized<T, float>, gather_standardized<T, double>},
      .fma_chains = fma_chains<T>,
      .embedding_scratch = embedding_scratch<T>,
      .embed = {FASTMLP_BASES(FASTMLP_EMBED)},
      .embed_backward = {FASTMLP_BASES(FASTMLP_EMBED_BACKWARD)},
      .smooth_clip = smooth_clip<T>,
      .smooth_clip_backward = smooth_clip_backward<T>,
      .elementwise = {FASTMLP_ELEMENTWISE(FASTMLP_APPLY)},
      .all_finite = {all_finite<T, std::uint8_t>, all_finite<T, Half>, all_finite<T, float>, all_finite<T, double>},
  };
}

extern const KernelTable<float> kTableFloat;
extern const KernelTable<double> kTableDouble;
constinit const KernelTable<float> kTableFloat = make_table<float>();
constinit const KernelTable<double> kTableDouble = make_table<double>();

}  // namespace fastmlp::FASTMLP_ISA

#include "ops/members.hpp"

#include <algorithm>
#include <limits>

namespace fastmlp {
namespace {

template <typename T>
void apply(const KernelTable<T>& kernels, Elementwise function, std::int64_t count, T* values) {
  kernels.elementwise[static_cast<int>(function)](count, values, values);
}

/// From what the loss reads to what is averaged, for one member.
template <typename T>
void to_mean_scale(const KernelTable<T>& kernels, Loss loss, const Panels<T>& row) {
  if (loss == Loss::softmax_cross_entropy) {
    kernels.softmax(1, row.cols, row.data, row.stride());
  } else if (loss == Loss::binary_cross_entropy) {
    apply(kernels, Elementwise::sigmoid, row.size(), row.data);
  } else if (loss == Loss::poisson) {
    apply(kernels, Elementwise::exp, row.size(), row.data);
  }
}

/// And back, for the mean. Probabilities of 0 and 1 become the nearest ones with finite logits.
template <typename T>
void to_output_scale(const KernelTable<T>& kernels, Loss loss, const Panels<T>& row, T* others) {
  constexpr T kLeast = std::numeric_limits<T>::min();
  if (loss != Loss::softmax_cross_entropy && loss != Loss::binary_cross_entropy && loss != Loss::poisson) return;
  for (std::int64_t i = 0; i < row.cols; ++i) {
    others[i] = std::max(T{1} - row.data[i], std::numeric_limits<T>::epsilon() / 2);
    row.data[i] = std::max(row.data[i], kLeast);
  }
  apply(kernels, Elementwise::log, row.cols, row.data);
  if (loss != Loss::binary_cross_entropy) return;
  apply(kernels, Elementwise::log, row.cols, others);
  for (std::int64_t i = 0; i < row.cols; ++i) row.data[i] -= others[i];
}

}  // namespace

std::int64_t member_scratch_size(std::int64_t members, std::int64_t outputs, std::int64_t panel) {
  return members == 1 ? 0 : 3 * round_up(outputs, panel);
}

template <typename T>
void average_members(const KernelTable<T>& kernels, const std::vector<OutputGroup<T>>& groups, std::int64_t members,
                     const Panels<T>& outputs, const Panels<T>& mean, T* scratch) {
  const std::int64_t panel = outputs.panel;
  for (const OutputGroup<T>& group : groups) {
    // A row of one panel row per panel is contiguous.
    const Panels<T> own{scratch, 1, group.outputs, panel};
    const Panels<T> sum{scratch + own.size(), 1, group.outputs, panel};
    for (std::int64_t row = 0; row < mean.rows; ++row) {
      std::fill_n(sum.data, sum.size(), T{0});
      for (std::int64_t member = 0; member < members; ++member) {
        for (std::int64_t i = 0; i < group.outputs; ++i) {
          const std::int64_t output = group.first + i;
          own.data[i] = outputs.at(output / panel, member * mean.rows + row)[output % panel];
        }
        to_mean_scale(kernels, group.loss, own);
        for (std::int64_t i = 0; i < group.outputs; ++i) sum.data[i] += own.data[i];
      }
      for (std::int64_t i = 0; i < group.outputs; ++i) sum.data[i] /= static_cast<T>(members);
      to_output_scale(kernels, group.loss, sum, scratch + 2 * own.size());
      for (std::int64_t i = 0; i < group.outputs; ++i) {
        const std::int64_t output = group.first + i;
        mean.at(output / panel, row)[output % panel] = sum.data[i];
      }
    }
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                           \
  template void average_members(const KernelTable<T>&, const std::vector<OutputGroup<T>>&, std::int64_t, \
                                const Panels<T>&, const Panels<T>&, T*);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

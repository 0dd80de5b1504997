#include "ops/batch_norm.hpp"

#include <algorithm>
#include <cmath>

namespace fastmlp {
namespace {

template <typename T>
void inverse_deviations(std::int64_t count, double epsilon, const T* variances, T* inverses) {
  for (std::int64_t i = 0; i < count; ++i) inverses[i] = 1 / std::sqrt(variances[i] + static_cast<T>(epsilon));
}

}  // namespace

template <typename T>
void batch_norm_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                        const BatchNormMemory<T>& memory, const Panels<T>& values, std::int64_t p) {
  const std::int64_t panel = values.panel;
  const std::int64_t width = values.width(p);
  const std::int64_t vectors = vectors_for(kernels, width);
  for_members(layer.vector_copies(), values.rows, {0, values.rows}, [&](std::int64_t member, Range rows) {
    const std::int64_t first = member * layer.output_stride + p * panel;
    T* z = values.at(p, rows.begin);
    T* inverses = memory.inverses + first;
    T means[kWidestPanel] = {};
    if (!layer.batch_normalizes()) {
      std::fill_n(inverses, width, T{1});
    } else if (settings.from_batch) {
      T variances[kWidestPanel];
      kernels.column_moments(rows.size(), vectors, z, means, variances);
      inverse_deviations(width, settings.epsilon, variances, inverses);
      if (settings.updates_running) {
        const auto count = static_cast<T>(rows.size());
        const T unbiased = rows.size() > 1 ? count / (count - 1) : T{1};
        std::copy_n(means, width, memory.means + first);
        for (std::int64_t i = 0; i < width; ++i) memory.variances[first + i] = unbiased * variances[i];
      }
    } else {
      std::copy_n(layer.means + first, panel, means);
      inverse_deviations(width, settings.epsilon, layer.variances + first, inverses);
    }
    kernels.normalize(rows.size(), vectors, means, inverses, layer.scales + first, z,
                      memory.normalized.at(p, rows.begin));
  });
}

template <typename T>
void batch_norm_update_moments(const DenseLayer<T>& layer, const BatchNormSettings& settings,
                               const BatchNormMemory<T>& memory, std::int64_t p) {
  if (!layer.batch_normalizes() || !settings.from_batch || !settings.updates_running) return;
  const auto kept = static_cast<T>(settings.momentum);
  for (std::int64_t member = 0; member < layer.vector_copies(); ++member) {
    const std::int64_t first = member * layer.output_stride + p * layer.weights.panel;
    for (std::int64_t i = first; i < first + layer.weights.width(p); ++i) {
      layer.means[i] = kept * layer.means[i] + (1 - kept) * memory.means[i];
      layer.variances[i] = kept * layer.variances[i] + (1 - kept) * memory.variances[i];
    }
  }
}

template <typename T>
void batch_norm_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                         const BatchNormMemory<T>& memory, const Panels<T>& dz, std::int64_t p) {
  for_members(layer.vector_copies(), dz.rows, {0, dz.rows}, [&](std::int64_t member, Range rows) {
    const std::int64_t first = member * layer.output_stride + p * dz.panel;
    kernels.normalize_backward(rows.size(), vectors_for(kernels, dz.width(p)), memory.inverses + first,
                               layer.scales + first, memory.normalized.at(p, rows.begin),
                               layer.batch_normalizes() && settings.from_batch, dz.at(p, rows.begin),
                               memory.dscales + first, memory.dbias + first);
  });
}

template <typename T>
void batch_norm_infer(const KernelTable<T>& kernels, const DenseLayer<T>& layer, double epsilon,
                      const Panels<T>& values, Range rows, std::int64_t p) {
  const std::int64_t width = values.width(p);
  for_members(layer.vector_copies(), values.rows, rows, [&](std::int64_t member, Range part) {
    const std::int64_t first = member * layer.output_stride + p * values.panel;
    T means[kWidestPanel] = {};
    T inverses[kWidestPanel] = {};
    if (layer.batch_normalizes()) {
      std::copy_n(layer.means + first, width, means);
      inverse_deviations(width, epsilon, layer.variances + first, inverses);
    } else {
      std::fill_n(inverses, width, T{1});
    }
    kernels.normalize(part.size(), vectors_for(kernels, width), means, inverses, layer.scales + first,
                      values.at(p, part.begin), nullptr);
  });
}

#define FASTMLP_INSTANTIATE(T)                                                                                       \
  template void batch_norm_forward(const KernelTable<T>&, const DenseLayer<T>&, const BatchNormSettings&,            \
                                   const BatchNormMemory<T>&, const Panels<T>&, std::int64_t);                       \
  template void batch_norm_update_moments(const DenseLayer<T>&, const BatchNormSettings&, const BatchNormMemory<T>&, \
                                          std::int64_t);                                                             \
  template void batch_norm_backward(const KernelTable<T>&, const DenseLayer<T>&, const BatchNormSettings&,           \
                                    const BatchNormMemory<T>&, const Panels<T>&, std::int64_t);                      \
  template void batch_norm_infer(const KernelTable<T>&, const DenseLayer<T>&, double, const Panels<T>&, Range,       \
                                 std::int64_t);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

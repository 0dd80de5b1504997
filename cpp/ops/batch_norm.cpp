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
  const T* running_means = layer.means + p * panel;
  const T* running_variances = layer.variances + p * panel;
  T* inverses = memory.inverses + p * panel;
  T means[kWidestPanel];
  if (settings.from_batch) {
    T variances[kWidestPanel];
    kernels.column_moments(values.rows, vectors, values.at(p), means, variances);
    inverse_deviations(width, settings.epsilon, variances, inverses);
    if (settings.updates_running) {
      const auto rows = static_cast<T>(values.rows);
      const T unbiased = values.rows > 1 ? rows / (rows - 1) : T{1};
      std::copy_n(means, width, memory.means + p * panel);
      for (std::int64_t i = 0; i < width; ++i) memory.variances[p * panel + i] = unbiased * variances[i];
    }
  } else {
    std::copy_n(running_means, panel, means);
    inverse_deviations(width, settings.epsilon, running_variances, inverses);
  }
  kernels.normalize(values.rows, vectors, means, inverses, layer.scales + p * panel, values.at(p),
                    memory.normalized.at(p));
}

template <typename T>
void batch_norm_update_moments(const DenseLayer<T>& layer, const BatchNormSettings& settings,
                               const BatchNormMemory<T>& memory, std::int64_t p) {
  if (!settings.from_batch || !settings.updates_running) return;
  const auto kept = static_cast<T>(settings.momentum);
  const std::int64_t first = p * layer.weights.panel;
  for (std::int64_t i = first; i < first + layer.weights.width(p); ++i) {
    layer.means[i] = kept * layer.means[i] + (1 - kept) * memory.means[i];
    layer.variances[i] = kept * layer.variances[i] + (1 - kept) * memory.variances[i];
  }
}

template <typename T>
void batch_norm_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                         const BatchNormMemory<T>& memory, const Panels<T>& dz, std::int64_t p) {
  const std::int64_t first = p * dz.panel;
  kernels.normalize_backward(dz.rows, vectors_for(kernels, dz.width(p)), memory.inverses + first, layer.scales + first,
                             memory.normalized.at(p), settings.from_batch, dz.at(p), memory.dscales + first,
                             memory.dbias + first);
}

template <typename T>
void batch_norm_infer(const KernelTable<T>& kernels, const DenseLayer<T>& layer, double epsilon,
                      const Panels<T>& values, Range rows, std::int64_t p) {
  const std::int64_t first = p * values.panel;
  T inverses[kWidestPanel] = {};
  inverse_deviations(values.width(p), epsilon, layer.variances + first, inverses);
  kernels.normalize(rows.size(), vectors_for(kernels, values.width(p)), layer.means + first, inverses,
                    layer.scales + first, values.at(p, rows.begin), nullptr);
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

#include "ops/dense.hpp"

#include <algorithm>

namespace fastmlp {

template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const Panels<T>& input,
                   const Panels<T>& output, Range rows, Range depth, Range panels) {
  const std::int64_t k_panel = depth.begin / input.panel;
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    const std::int64_t vectors = vectors_for(kernels, output.width(p));
    T* z = output.at(p, rows.begin);
    kernels.gemm(rows.size(), depth.size(), input.at(k_panel, rows.begin), input.stride(),
                 layer.weights.at(p, depth.begin), vectors, z, depth.begin > 0);
    if (depth.end < input.cols) continue;
    kernels.activate[static_cast<int>(layer.activation)](rows.size(), vectors, layer.bias + p * output.panel, z);
  }
}

template <typename T>
void activation_backward(const KernelTable<T>& kernels, Activation activation, const Panels<T>& output,
                         const Panels<T>& gradient, Range rows) {
  if (activation == Activation::identity) return;
  for (std::int64_t p = 0; p < output.count(); ++p) {
    kernels.activate_backward[static_cast<int>(activation)](rows.size(), vectors_for(kernels, output.width(p)),
                                                            output.at(p, rows.begin), gradient.at(p, rows.begin));
  }
}

template <typename T>
void transpose_rows(const KernelTable<T>& kernels, const Panels<T>& gradient, Range rows, T* transposed) {
  const std::int64_t panel = gradient.panel;
  for (std::int64_t row = rows.begin; row < rows.end; row += panel, transposed += panel * gradient.cols) {
    for (std::int64_t p = 0; p < gradient.count(); ++p) {
      kernels.transpose(std::min(panel, rows.end - row), gradient.width(p), gradient.at(p, row),
                        transposed + p * panel * panel);
    }
  }
}

template <typename T>
void dense_backward_data(const KernelTable<T>& kernels, const Panels<T>& weights, const T* transposed,
                         Activation activation, const Panels<T>& input, const Panels<T>& d_input, Range rows,
                         Range depth, Range panels, T* scratch) {
  const std::int64_t panel = weights.panel;
  const bool whole = depth.size() == weights.cols;
  const bool complete = depth.end == weights.cols;
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    const std::int64_t features = input.width(p);
    const T* batch_panel = transposed + depth.begin * panel;
    for (std::int64_t row = rows.begin; row < rows.end; row += panel, batch_panel += panel * weights.cols) {
      const std::int64_t samples = std::min(panel, rows.end - row);
      // Partial sums wait, transposed, where the result will be: a whole block takes the same room either way.
      T* block = whole ? scratch : d_input.at(p, row);
      kernels.gemm(features, depth.size(), weights.at(depth.begin / panel, p * panel), weights.stride(), batch_panel,
                   vectors_for(kernels, samples), block, depth.begin > 0);
      if (!complete) continue;
      if (!whole) block = std::copy_n(block, features * panel, scratch) - features * panel;
      kernels.transpose(features, samples, block, d_input.at(p, row));
      kernels.activate_backward[static_cast<int>(activation)](samples, vectors_for(kernels, features), input.at(p, row),
                                                              d_input.at(p, row));
    }
  }
}

namespace {

/// The element of an array parallel to the parameters that belongs to `parameter`.
template <typename T>
T* parallel_element(const GradientSink<T>& sink, T* array, const T* parameter) {
  return array == nullptr ? nullptr : array + (parameter - sink.parameters);
}

/// Hands `count` parameters and their gradient to the sink.
template <typename T>
void deliver(const KernelTable<T>& kernels, const GradientSink<T>& sink, const UpdateSettings<T>& settings,
             std::int64_t count, T* parameters, const T* gradient) {
  if (sink.gradients != nullptr) {
    std::copy_n(gradient, count, parallel_element(sink, sink.gradients, parameters));
  } else {
    kernels.update[static_cast<int>(sink.optimizer)](count, parameters, parallel_element(sink, sink.slots, parameters),
                                                     gradient, settings);
  }
}

}  // namespace

template <typename T>
void dense_backward_weights(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const Panels<T>& input,
                            const Panels<T>& gradient, Range blocks, std::int64_t panel_group,
                            const GradientSink<T>& sink, T* scratch) {
  const Panels<T>& weights = layer.weights;
  const std::int64_t panel = weights.panel;
  const std::int64_t in_panels = input.count();
  UpdateSettings<T> bias_settings = sink.settings;
  bias_settings.l2 = 0;
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    // Groups of output panels, whose gradients stay in cache while the input goes by once.
    const std::int64_t first = block / (in_panels * panel_group) * panel_group;
    const std::int64_t group = std::min(panel_group, weights.count() - first);
    const std::int64_t in_panel = (block - first * in_panels) / group;
    const std::int64_t out_panel = first + (block - first * in_panels) % group;
    const std::int64_t vectors = vectors_for(kernels, weights.width(out_panel));
    const std::int64_t features = input.width(in_panel);
    T* parameters = weights.at(out_panel, in_panel * panel);
    if (sink.gradients != nullptr) {
      T* gradients = parallel_element(sink, sink.gradients, parameters);
      kernels.gemm_at(features, gradient.rows, input.at(in_panel), gradient.at(out_panel), vectors, gradients);
    } else {
      kernels.gemm_at_update[static_cast<int>(sink.optimizer)](
          features, gradient.rows, input.at(in_panel), gradient.at(out_panel), vectors, parameters,
          parallel_element(sink, sink.slots, parameters), sink.settings, scratch);
    }
    if (in_panel > 0) continue;
    std::fill(scratch, scratch + panel, T{0});
    kernels.column_sums(gradient.rows, vectors, gradient.at(out_panel), scratch);
    deliver(kernels, sink, bias_settings, panel, layer.bias + out_panel * panel, scratch);
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                                        \
  template void dense_forward(const KernelTable<T>&, const DenseLayer<T>&, const Panels<T>&, const Panels<T>&, Range, \
                              Range, Range);                                                                          \
  template void activation_backward(const KernelTable<T>&, Activation, const Panels<T>&, const Panels<T>&, Range);    \
  template void transpose_rows(const KernelTable<T>&, const Panels<T>&, Range, T*);                                   \
  template void dense_backward_data(const KernelTable<T>&, const Panels<T>&, const T*, Activation, const Panels<T>&,  \
                                    const Panels<T>&, Range, Range, Range, T*);                                       \
  template void dense_backward_weights(const KernelTable<T>&, const DenseLayer<T>&, const Panels<T>&,                 \
                                       const Panels<T>&, Range, std::int64_t, const GradientSink<T>&, T*);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

#include "ops/dense.hpp"

#include <algorithm>

namespace fastmlp {

template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                   const Panels<T>& output, Range rows, Range depth, Range panels) {
  const Panels<T>& x = input.values;
  const bool listed = input.weight_rows != nullptr;
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    const std::int64_t first_row = listed ? 0 : depth.begin;
    Product<T> product{.rows = rows.size(),
                       .depth = depth.size(),
                       .vectors = vectors_for(kernels, output.width(p)),
                       .a = x.at(depth.begin / x.panel, rows.begin),
                       .a_panel_stride = x.stride(),
                       .b = layer.weights.at(p, first_row),
                       .b_rows = listed ? input.weight_rows + depth.begin : nullptr,
                       .c = output.at(p, rows.begin),
                       .accumulate = depth.begin > 0};
    if (p + 1 < panels.end && !listed) product.next_b = layer.weights.at(p + 1, first_row);
    kernels.gemm(product);
    if (depth.end < x.cols) continue;
    kernels.activate[static_cast<int>(layer.activation)](rows.size(), product.vectors, layer.bias + p * output.panel,
                                                         product.c);
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
    const T* batch_panel = transposed + depth.begin * panel;
    Product<T> product{.rows = input.width(p),
                       .depth = depth.size(),
                       .vectors = 0,
                       .a = weights.at(depth.begin / panel, p * panel),
                       .a_panel_stride = weights.stride(),
                       .b = nullptr,
                       .c = scratch,
                       .accumulate = depth.begin > 0};
    for (std::int64_t row = rows.begin; row < rows.end; row += panel, batch_panel += panel * weights.cols) {
      const std::int64_t samples = std::min(panel, rows.end - row);
      T* result = d_input.at(p, row);
      product.vectors = vectors_for(kernels, samples);
      product.b = batch_panel;
      // Partial sums wait, transposed, where the result will be: a whole block takes the same room either way.
      if (!whole) product.c = result;
      product.next_a = row == rows.begin && p + 1 < input.count() ? product.a + panel * panel : nullptr;
      kernels.gemm(product);
      if (!complete) continue;
      if (!whole) std::copy_n(result, product.rows * panel, scratch);
      kernels.transpose(product.rows, samples, scratch, result);
      kernels.activate_backward[static_cast<int>(activation)](samples, vectors_for(kernels, product.rows),
                                                              input.at(p, row), result);
    }
  }
}

template <typename T>
void dense_backward_data_by_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const Panels<T>& gradient,
                                 Activation activation, const Panels<T>& input, const Panels<T>& d_input, Range rows,
                                 Range depth, Range panels, T* scratch) {
  const std::int64_t panel = weights.panel;
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    const std::int64_t features = input.width(p);
    for (std::int64_t k = depth.begin; k < depth.end; k += panel) {
      kernels.transpose(features, std::min(panel, depth.end - k), weights.at(k / panel, p * panel),
                        scratch + (k - depth.begin) * panel);
    }
    const std::int64_t vectors = vectors_for(kernels, features);
    kernels.gemm({.rows = rows.size(),
                  .depth = depth.size(),
                  .vectors = vectors,
                  .a = gradient.at(depth.begin / panel, rows.begin),
                  .a_panel_stride = gradient.stride(),
                  .b = scratch,
                  .c = d_input.at(p, rows.begin),
                  .accumulate = depth.begin > 0});
    if (depth.end < weights.cols) continue;
    kernels.activate_backward[static_cast<int>(activation)](rows.size(), vectors, input.at(p, rows.begin),
                                                            d_input.at(p, rows.begin));
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
                                                     sink.slot_stride, gradient, settings);
  }
}

/// Hands a block of gradients to an optimizer that reads them from memory, by runs of neighbouring rows.
template <typename T>
void update_from_scratch(const KernelTable<T>& kernels, const GradientSink<T>& sink, const Product<T>& product,
                         T* parameters, const std::int32_t* rows, std::int64_t panel, T* scratch) {
  // Lanes beyond the computed vectors must be zero: they are the gradient of padding.
  if (product.vectors * kernels.lanes < panel) std::fill(scratch, scratch + product.rows * panel, T{0});
  kernels.gemm_at(product, scratch, nullptr);
  for (std::int64_t row = 0; row < product.rows;) {
    std::int64_t run = 1;
    while (row + run < product.rows && (rows == nullptr || rows[row + run] == rows[row] + run)) ++run;
    const std::int64_t first = rows == nullptr ? row : rows[row];
    deliver(kernels, sink, sink.settings, run * panel, parameters + first * panel, scratch + row * panel);
    row += run;
  }
}

}  // namespace

template <typename T>
void dense_backward_weights(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                            const Panels<T>& gradient, Range blocks, std::int64_t panel_group,
                            const GradientSink<T>& sink, T* scratch) {
  const Panels<T>& weights = layer.weights;
  const Panels<T>& x = input.values;
  const std::int64_t panel = weights.panel;
  UpdateSettings<T> bias_settings = sink.settings;
  bias_settings.l1 = bias_settings.l2 = 0;
  bias_settings.shrink = 1;
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    // Groups of output panels, whose gradients stay in cache while the input goes by once.
    const std::int64_t first = block / (x.count() * panel_group) * panel_group;
    const std::int64_t group = std::min(panel_group, weights.count() - first);
    const std::int64_t in_panel = (block - first * x.count()) / group;
    const std::int64_t out_panel = first + (block - first * x.count()) % group;
    const Product<T> product{.rows = x.width(in_panel),
                             .depth = gradient.rows,
                             .vectors = vectors_for(kernels, weights.width(out_panel)),
                             .a = x.at(in_panel),
                             .b = gradient.at(out_panel),
                             .c = scratch};
    const bool listed = input.weight_rows != nullptr;
    T* parameters = weights.at(out_panel, listed ? 0 : in_panel * panel);
    const std::int32_t* rows = listed ? input.weight_rows + in_panel * panel : nullptr;
    const auto update_product = kernels.gemm_at_update[static_cast<int>(sink.optimizer)];
    if (sink.gradients != nullptr) {
      kernels.gemm_at(product, parallel_element(sink, sink.gradients, parameters), rows);
    } else if (update_product != nullptr) {
      update_product(product, parameters, parallel_element(sink, sink.slots, parameters), sink.slot_stride, rows,
                     sink.settings);
    } else {
      update_from_scratch(kernels, sink, product, parameters, rows, panel, scratch);
    }
    if (in_panel > 0) continue;
    std::fill(scratch, scratch + panel, T{0});
    kernels.column_sums(gradient.rows, product.vectors, gradient.at(out_panel), scratch);
    deliver(kernels, sink, bias_settings, panel, layer.bias + out_panel * panel, scratch);
  }
}

template <typename T>
void dense_update_idle(const KernelTable<T>& kernels, const Panels<T>& weights, const std::int32_t* weight_rows,
                       Range rows, const GradientSink<T>& sink, T* scratch) {
  const std::int64_t panel = weights.panel;
  std::fill(scratch, scratch + panel * panel, T{0});
  for (std::int64_t p = 0; p < weights.count(); ++p) {
    for (std::int64_t row = rows.begin; row < rows.end;) {
      // Neighbours go together.
      std::int64_t run = 1;
      while (row + run < rows.end && run < panel && weight_rows[row + run] == weight_rows[row] + run) ++run;
      deliver(kernels, sink, sink.settings, run * panel, weights.at(p, weight_rows[row]), scratch);
      row += run;
    }
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                                       \
  template void dense_forward(const KernelTable<T>&, const DenseLayer<T>&, const LayerInput<T>&, const Panels<T>&,   \
                              Range, Range, Range);                                                                  \
  template void activation_backward(const KernelTable<T>&, Activation, const Panels<T>&, const Panels<T>&, Range);   \
  template void transpose_rows(const KernelTable<T>&, const Panels<T>&, Range, T*);                                  \
  template void dense_backward_data(const KernelTable<T>&, const Panels<T>&, const T*, Activation, const Panels<T>&, \
                                    const Panels<T>&, Range, Range, Range, T*);                                      \
  template void dense_update_idle(const KernelTable<T>&, const Panels<T>&, const std::int32_t*, Range,               \
                                  const GradientSink<T>&, T*);                                                       \
  template void dense_backward_data_by_rows(const KernelTable<T>&, const Panels<T>&, const Panels<T>&, Activation,   \
                                            const Panels<T>&, const Panels<T>&, Range, Range, Range, T*);            \
  template void dense_backward_weights(const KernelTable<T>&, const DenseLayer<T>&, const LayerInput<T>&,            \
                                       const Panels<T>&, Range, std::int64_t, const GradientSink<T>&, T*);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

#include "ops/dense.hpp"

#include <algorithm>
#include <type_traits>

#include "ops/random.hpp"

namespace fastmlp {

namespace {

/// What the products of a layer read: the matrices themselves.
template <typename T>
struct PlainOperands {
  using Element = T;
  const KernelTable<T>& kernels;
  const Panels<T>& by_columns(const Panels<T>& matrix, const RoundedMatrix&) const { return matrix; }
  const Panels<T>& by_rows(const Panels<T>& matrix, const RoundedMatrix&) const { return matrix; }
};

/// Or their rounded forms.
struct RoundedOperands {
  using Element = Pair;
  const Bfloat16Kernels& kernels;
  const Panels<Pair>& by_columns(const Panels<float>&, const RoundedMatrix& rounded) const {
    return rounded.column_pairs;
  }
  const Panels<Pair>& by_rows(const Panels<float>&, const RoundedMatrix& rounded) const { return rounded.row_pairs; }
};

/// Calls use(operands) with the operands of a layer.
template <typename T, typename Use>
void with_operands(const KernelTable<T>& kernels, const RoundedLayer& rounded, Use use) {
  if constexpr (std::is_same_v<T, float>) {
    if (rounded.kernels != nullptr) return use(RoundedOperands{*rounded.kernels});
  }
  use(PlainOperands<T>{kernels});
}

/// Memory for T as memory for elements of operands, which are not larger.
template <typename Operands, typename T>
auto* operand_memory(const Operands&, T* memory) {
  using Element = std::conditional_t<std::is_const_v<T>, const typename Operands::Element, typename Operands::Element>;
  return reinterpret_cast<Element*>(memory);
}

/// The element of an operand that is `numbers` numbers further along its inner dimension, which begins a whole panel.
template <typename Element>
constexpr std::int64_t elements(std::int64_t numbers) {
  return ceil_div(numbers, kNumbers<Element>);
}

template <typename T, typename Operands>
void multiply_forward(const KernelTable<T>& kernels, const Operands& operands, const DenseLayer<T>& layer,
                      const LayerInput<T>& input, const Panels<T>& output, const RoundedLayer& rounded, Range rows,
                      Range depth, std::int64_t p, bool is_last) {
  using Element = typename Operands::Element;
  const bool listed = input.weight_rows != nullptr;
  const std::int64_t first_row = listed ? 0 : elements<Element>(depth.begin);
  for_members(layer.weight_copies(), input.values.rows, rows, [&](std::int64_t copy, Range part) {
    const Panels<Element> x = operands.by_columns(input.values, rounded.input);
    const Panels<Element> weights = operands.by_rows(layer.weights_of(copy), rounded.weights);
    Product<Element> product{.rows = part.size(),
                             .depth = elements<Element>(depth.size()),
                             .vectors = vectors_for(kernels, output.width(p)),
                             .a = x.at(depth.begin / output.panel, part.begin),
                             .a_panel_stride = x.stride(),
                             .b = weights.at(p, first_row),
                             .b_rows = listed ? input.weight_rows + depth.begin : nullptr,
                             .c = output.at(p, part.begin),
                             .accumulate = depth.begin > 0};
    if (!is_last && !listed) product.next_b = weights.at(p + 1, first_row);
    operands.kernels.gemm_nn(product);
  });
}

}  // namespace

template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                   const LayerOutput<T>& output, const Dropout& dropout, Range rows, Range depth, Range panels,
                   const RoundedLayer& rounded) {
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    with_operands(kernels, rounded, [&](const auto& operands) {
      multiply_forward(kernels, operands, layer, input, output.values, rounded, rows, depth, p, p + 1 == panels.end);
    });
    if (depth.end < input.values.cols || layer.product_only) continue;
    dense_finish(kernels, layer, output, dropout, rows, p);
  }
}

template <typename T>
void dense_finish(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerOutput<T>& output,
                  const Dropout& dropout, Range rows, std::int64_t p) {
  static constexpr T kNoBias[kWidestPanel] = {};
  const std::int64_t vectors = vectors_for(kernels, output.values.width(p));
  const auto function = static_cast<int>(layer.activation);
  for_members(layer.vector_copies(), output.values.rows, rows, [&](std::int64_t member, Range part) {
    const auto first_of = [&](const Panels<T>& panels) {
      return panels.data == nullptr ? nullptr : panels.at(p, part.begin);
    };
    const std::int64_t first = member * layer.output_stride + p * output.values.panel;
    const T* bias = layer.bias == nullptr ? kNoBias : layer.bias + first;
    T* z = output.values.at(p, part.begin);
    T* derivatives = first_of(output.derivatives);
    if (layer.mixes == nullptr) {
      kernels.activate[function](part.size(), vectors, layer.parameter, bias, z, derivatives);
    } else {
      kernels.activate_mixed[function](part.size(), vectors, layer.parameter, bias, layer.mixes + first, z, derivatives,
                                       first_of(output.residues));
    }
  });
  if (dropout.rate > 0) drop_values(kernels, output, dropout, rows, p);
}

template <typename T>
void drop_values(const KernelTable<T>& kernels, const LayerOutput<T>& output, const Dropout& dropout, Range rows,
                 std::int64_t p) {
  const auto threshold = static_cast<std::uint32_t>(dropout.rate * 0x1p32);
  dropout.places.for_parts(rows, [&](Range part, std::int64_t row) {
    const RandomBlock block =
        random_block(output.values, RandomPurpose::dropout, dropout.seed, dropout.level, dropout.step, row, p);
    const auto first_of = [&](const Panels<T>& panels) {
      return panels.data == nullptr ? nullptr : panels.at(p, part.begin);
    };
    kernels.dropout(block, part.size(), vectors_for(kernels, output.values.width(p)), threshold,
                    static_cast<T>(1 / (1 - dropout.rate)), first_of(output.values), first_of(output.derivatives),
                    first_of(output.residues));
  });
}

template <typename T>
void apply_derivative(const KernelTable<T>& kernels, const Derivative<T>& derivative, Range rows, std::int64_t p,
                      T* dz) {
  const std::int64_t vectors = vectors_for(kernels, derivative.output.values.width(p));
  if (derivative.output.residues.data != nullptr) {
    kernels.multiply_mixed(rows.size(), vectors, derivative.output.derivatives.at(p, rows.begin),
                           derivative.output.residues.at(p, rows.begin), dz);
  } else if (derivative.output.derivatives.data != nullptr) {
    kernels.multiply(rows.size(), vectors, derivative.output.derivatives.at(p, rows.begin), dz);
  } else if (derivative.activation != Activation::identity) {
    kernels.activate_backward[static_cast<int>(derivative.activation)](rows.size(), vectors, derivative.parameter,
                                                                       derivative.output.values.at(p, rows.begin), dz);
  }
}

template <typename T>
void transpose_rows(const KernelTable<T>& kernels, const Panels<T>& dz, Range rows, T* transposed,
                    const RoundedLayer& rounded) {
  const std::int64_t panel = dz.panel;
  with_operands(kernels, rounded, [&](const auto& operands) {
    const auto& source = operands.by_columns(dz, rounded.gradient);
    auto* destination = operand_memory(operands, transposed);
    for (std::int64_t row = rows.begin; row < rows.end; row += panel, destination += panel * source.cols) {
      for (std::int64_t p = 0; p < source.count(); ++p) {
        operands.kernels.transpose(std::min(panel, rows.end - row), source.width(p), source.at(p, row),
                                   destination + p * source.panel * panel);
      }
    }
  });
}

template <typename T>
void dense_backward_data(const KernelTable<T>& kernels, const Panels<T>& weights, const T* transposed,
                         const Derivative<T>& derivative, const Panels<T>& dx, Range rows, Range depth, Range panels,
                         T* scratch, const RoundedLayer& rounded) {
  const std::int64_t panel = weights.panel;
  const bool whole = depth.size() == weights.cols;
  const bool complete = depth.end == weights.cols;
  with_operands(kernels, rounded, [&](const auto& operands) {
    using Element = typename std::decay_t<decltype(operands)>::Element;
    const Panels<Element>& factors = operands.by_columns(weights, rounded.weights);
    for (std::int64_t p = panels.begin; p < panels.end; ++p) {
      const Element* batch_panel = operand_memory(operands, transposed) + elements<Element>(depth.begin) * panel;
      Product<Element> product{.rows = dx.width(p),
                               .depth = elements<Element>(depth.size()),
                               .vectors = 0,
                               .a = factors.at(depth.begin / panel, p * panel),
                               .a_panel_stride = factors.stride(),
                               .b = nullptr,
                               .c = scratch,
                               .accumulate = depth.begin > 0};
      for (std::int64_t row = rows.begin; row < rows.end; row += panel, batch_panel += panel * factors.cols) {
        const std::int64_t samples = std::min(panel, rows.end - row);
        T* result = dx.at(p, row);
        product.vectors = vectors_for(kernels, samples);
        product.b = batch_panel;
        // Partial sums are kept, transposed, in the place of the result, which has the same size for whole panels of
        // rows.
        if (!whole) product.c = result;
        product.next_a = row == rows.begin && p + 1 < dx.count() ? product.a + panel * factors.panel : nullptr;
        operands.kernels.gemm_nn(product);
        if (!complete) continue;
        if (!whole) std::copy_n(result, product.rows * panel, scratch);
        kernels.transpose(product.rows, samples, scratch, result);
        apply_derivative(kernels, derivative, {row, row + samples}, p, result);
      }
    }
  });
}

template <typename T>
void dense_backward_data_by_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const Panels<T>& dz,
                                 const Derivative<T>& derivative, const Panels<T>& dx, Range rows, Range depth,
                                 Range panels, T* scratch, const RoundedLayer& rounded) {
  const std::int64_t panel = weights.panel;
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    const std::int64_t features = dx.width(p);
    with_operands(kernels, rounded, [&](const auto& operands) {
      using Element = typename std::decay_t<decltype(operands)>::Element;
      const Panels<Element>& source = operands.by_columns(weights, rounded.weights);
      const Panels<Element>& gradients = operands.by_columns(dz, rounded.gradient);
      Element* transposed = operand_memory(operands, scratch);
      for (std::int64_t k = depth.begin; k < depth.end; k += panel) {
        operands.kernels.transpose(features, elements<Element>(std::min(panel, depth.end - k)),
                                   source.at(k / panel, p * panel),
                                   transposed + elements<Element>(k - depth.begin) * panel);
      }
      operands.kernels.gemm_nn({.rows = rows.size(),
                                .depth = elements<Element>(depth.size()),
                                .vectors = vectors_for(kernels, features),
                                .a = gradients.at(depth.begin / panel, rows.begin),
                                .a_panel_stride = gradients.stride(),
                                .b = transposed,
                                .c = dx.at(p, rows.begin),
                                .accumulate = depth.begin > 0});
    });
    if (depth.end < weights.cols) continue;
    apply_derivative(kernels, derivative, rows, p, dx.at(p, rows.begin));
  }
}

namespace {

/// Computes a block of gradients in scratch memory and delivers it by runs of adjacent rows, for optimizers that read
/// gradients from memory.
template <typename T, typename Operands>
void update_from_scratch(const KernelTable<T>& kernels, const Operands& operands, const GradientSink<T>& sink,
                         const Product<typename Operands::Element>& product, T* parameters, const std::int32_t* rows,
                         std::int64_t panel, T* scratch) {
  // Lanes beyond the computed vectors must be zero: they are the gradient of padding.
  if (product.vectors * kernels.lanes < panel) std::fill(scratch, scratch + product.rows * panel, T{0});
  operands.kernels.gemm_tn(product, scratch, nullptr);
  for (std::int64_t row = 0; row < product.rows;) {
    std::int64_t run = 1;
    while (row + run < product.rows && (rows == nullptr || rows[row + run] == rows[row] + run)) ++run;
    const std::int64_t first = rows == nullptr ? row : rows[row];
    deliver(kernels, sink, ParameterKind::weights, run * panel, parameters + first * panel, scratch + row * panel);
    row += run;
  }
}

/// The gradient of one block of weights goes to the sink.
template <typename T, typename Operands>
void multiply_backward_weights(const KernelTable<T>& kernels, const Operands& operands, const Panels<T>& weights,
                               Range rows, const LayerInput<T>& input, const Panels<T>& dz, std::int64_t in_panel,
                               std::int64_t out_panel, const GradientSink<T>& sink, T* scratch,
                               const RoundedLayer& rounded) {
  using Element = typename Operands::Element;
  constexpr bool kRounded = !std::is_same_v<Element, T>;
  const std::int64_t panel = weights.panel;
  const std::int64_t first = elements<Element>(rows.begin);
  const Product<Element> product{.rows = input.values.width(in_panel),
                                 .depth = elements<Element>(rows.size()),
                                 .vectors = vectors_for(kernels, weights.width(out_panel)),
                                 .a = operands.by_rows(input.values, rounded.input).at(in_panel, first),
                                 .b = operands.by_rows(dz, rounded.gradient).at(out_panel, first),
                                 .c = scratch};
  const bool listed = input.weight_rows != nullptr;
  T* parameters = weights.at(out_panel, listed ? 0 : in_panel * panel);
  const std::int32_t* weight_rows = listed ? input.weight_rows + in_panel * panel : nullptr;
  if (sink.gradients != nullptr) {
    return operands.kernels.gemm_tn(product, parallel_element(sink, sink.gradients, parameters), weight_rows);
  }
  if constexpr (kRounded) {
    // Updates obey the rules for subnormal numbers of all other arithmetic.
    update_from_scratch(kernels, operands, sink, product, parameters, weight_rows, panel, scratch);
    round_rows(*rounded.kernels, weights, rounded.weights, {in_panel * panel, in_panel * panel + product.rows},
               {out_panel, out_panel + 1});
  } else if (const auto update_product = kernels.gemm_tn_update[static_cast<int>(sink.optimizer)]) {
    update_product(product, parameters, parallel_element(sink, sink.slots, parameters), sink.slot_stride, weight_rows,
                   (*sink.settings)[ParameterKind::weights]);
  } else {
    update_from_scratch(kernels, operands, sink, product, parameters, weight_rows, panel, scratch);
  }
}

/// Sums of the columns of panel p of `values`, of the given rows of each copy of an array, go to the sink as its
/// gradients.
template <typename T>
void deliver_sums(const KernelTable<T>& kernels, const GradientSink<T>& sink, ParameterKind kind, Range rows,
                  std::int64_t copies, std::int64_t stride, const Panels<T>& values, std::int64_t p, T* array,
                  T* scratch) {
  for_members(copies, values.rows, rows, [&](std::int64_t copy, Range part) {
    std::fill(scratch, scratch + values.panel, T{0});
    kernels.column_sums(part.size(), vectors_for(kernels, values.width(p)), values.at(p, part.begin), scratch);
    deliver(kernels, sink, kind, values.panel, array + copy * stride + p * values.panel, scratch);
  });
}

}  // namespace

namespace {

/// dense_backward_weights for one copy of the weights and the rows that it computes; blocks are numbered in the copy.
template <typename T>
void backward_weights_of(const KernelTable<T>& kernels, const DenseLayer<T>& layer, std::int64_t copy, Range rows,
                         const LayerInput<T>& input, const LayerGradient<T>& gradient, Range blocks,
                         std::int64_t panel_group, const GradientSink<T>& sink, T* scratch,
                         const RoundedLayer& rounded) {
  const Panels<T>& x = input.values;
  const Panels<T>& dz = gradient.dz;
  const Panels<T> weights = layer.weights_of(copy);
  const std::int64_t panel = weights.panel;
  const std::int64_t in_panels = x.count();
  const std::int64_t out_panels = weights.count();
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    // The gradients of a group of output panels stay in cache while the input is read once.
    const std::int64_t first = block / (in_panels * panel_group) * panel_group;
    const std::int64_t group = std::min(panel_group, out_panels - first);
    const std::int64_t in_panel = (block - first * in_panels) / group;
    const std::int64_t out_panel = first + (block - first * in_panels) % group;
    with_operands(kernels, rounded, [&](const auto& operands) {
      multiply_backward_weights(kernels, operands, weights, rows, input, dz, in_panel, out_panel, sink, scratch,
                                rounded);
    });
    if (in_panel > 0) continue;
    const auto deliver_columns = [&](ParameterKind kind, const Panels<T>& values, T* array) {
      deliver_sums(kernels, sink, kind, rows, layer.vector_copies(), layer.output_stride, values, out_panel, array,
                   scratch);
    };
    if (!layer.scales_outputs()) deliver_columns(ParameterKind::biases, dz, layer.bias);
    if (layer.mixes != nullptr) deliver_columns(ParameterKind::mixes, gradient.dmixes, layer.mixes);
    if (!layer.normalizes_rows()) continue;
    deliver_columns(ParameterKind::shifts, gradient.dshifted, layer.shifts);
    std::fill(scratch, scratch + panel, T{0});
    kernels.dot_columns(rows.size(), vectors_for(kernels, weights.width(out_panel)),
                        gradient.dshifted.at(out_panel, rows.begin), gradient.normalized.at(out_panel, rows.begin),
                        scratch);
    deliver(kernels, sink, ParameterKind::scales, panel, layer.scales + out_panel * panel, scratch);
  }
}

}  // namespace

template <typename T>
void dense_backward_weights(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                            const LayerGradient<T>& gradient, Range blocks, std::int64_t panel_group,
                            const GradientSink<T>& sink, T* scratch, const RoundedLayer& rounded) {
  const std::int64_t copies = layer.weight_copies();
  const std::int64_t copy_blocks = layer.weights.count() * input.values.count();
  const std::int64_t copy_rows = gradient.dz.rows / copies;
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    const Range own{std::max<std::int64_t>(blocks.begin - copy * copy_blocks, 0),
                    std::min(blocks.end - copy * copy_blocks, copy_blocks)};
    if (own.begin >= own.end) continue;
    backward_weights_of(kernels, layer, copy, {copy * copy_rows, (copy + 1) * copy_rows}, input, gradient, own,
                        panel_group, sink, scratch, rounded);
  }
}

template <typename T>
void dense_update_zero_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const std::int32_t* weight_rows,
                            Range rows, const GradientSink<T>& sink, T* scratch) {
  const std::int64_t panel = weights.panel;
  std::fill(scratch, scratch + panel * panel, T{0});
  for (std::int64_t p = 0; p < weights.count(); ++p) {
    for (std::int64_t row = rows.begin; row < rows.end;) {
      // Adjacent rows are updated together.
      std::int64_t run = 1;
      while (row + run < rows.end && run < panel && weight_rows[row + run] == weight_rows[row] + run) ++run;
      deliver(kernels, sink, ParameterKind::weights, run * panel, weights.at(p, weight_rows[row]), scratch);
      row += run;
    }
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                                   \
  template void dense_forward(const KernelTable<T>&, const DenseLayer<T>&, const LayerInput<T>&,                 \
                              const LayerOutput<T>&, const Dropout&, Range, Range, Range, const RoundedLayer&);  \
  template void dense_finish(const KernelTable<T>&, const DenseLayer<T>&, const LayerOutput<T>&, const Dropout&, \
                             Range, std::int64_t);                                                               \
  template void drop_values(const KernelTable<T>&, const LayerOutput<T>&, const Dropout&, Range, std::int64_t);  \
  template void apply_derivative(const KernelTable<T>&, const Derivative<T>&, Range, std::int64_t, T*);          \
  template void transpose_rows(const KernelTable<T>&, const Panels<T>&, Range, T*, const RoundedLayer&);         \
  template void dense_backward_data(const KernelTable<T>&, const Panels<T>&, const T*, const Derivative<T>&,     \
                                    const Panels<T>&, Range, Range, Range, T*, const RoundedLayer&);             \
  template void dense_update_zero_rows(const KernelTable<T>&, const Panels<T>&, const std::int32_t*, Range,      \
                                       const GradientSink<T>&, T*);                                              \
  template void dense_backward_data_by_rows(const KernelTable<T>&, const Panels<T>&, const Panels<T>&,           \
                                            const Derivative<T>&, const Panels<T>&, Range, Range, Range, T*,     \
                                            const RoundedLayer&);                                                \
  template void dense_backward_weights(const KernelTable<T>&, const DenseLayer<T>&, const LayerInput<T>&,        \
                                       const LayerGradient<T>&, Range, std::int64_t, const GradientSink<T>&, T*, \
                                       const RoundedLayer&);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

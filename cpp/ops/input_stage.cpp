#include "ops/input_stage.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace fastmlp {
namespace {

/// The row of a category's table, or -1 where the code is none of the levels.
template <typename T>
std::int64_t level_of(T code, std::int64_t levels) {
  return code >= 0 && code < static_cast<T>(levels) ? static_cast<std::int64_t>(code) : -1;
}

template <typename T>
EmbeddingCall<T> embedding_call(const EmbeddedColumns<T>& columns, std::int64_t j, std::int64_t rows, const T* x,
                                std::int64_t stride, T* scratch) {
  const InputGroup& group = columns.group;
  const auto array_of = [&](const Panels<T>& array) {
    return array.data == nullptr ? nullptr : array.data + j * array.size();
  };
  return {.rows = rows,
          .x = x,
          .stride = stride,
          .bases = group.bases,
          .outputs = group.outputs,
          .relu = group.relu,
          .keeps_value = group.keeps_value,
          .frequencies = array_of(columns.frequencies),
          .phases = array_of(columns.phases),
          .edges = columns.edges.empty() ? nullptr : columns.edges.data() + j * (group.bases + 1),
          .maps = array_of(columns.maps),
          .map_bias = array_of(columns.map_biases),
          .scratch = scratch};
}

/// Writes the inputs of a column for `rows` rows; input i of row r is out[i * stride + r].
template <typename T>
void embed_column(const KernelTable<T>& kernels, const EmbeddedColumns<T>& columns, std::int64_t j, std::int64_t rows,
                  const T* x, std::int64_t stride, T* out, T* scratch) {
  const InputGroup& group = columns.group;
  if (group.kind == InputKind::number) {
    kernels.embed[static_cast<int>(group.basis)](embedding_call(columns, j, rows, x, stride, scratch), out);
    return;
  }
  if (group.kind == InputKind::one_hot) {
    const T* values = columns.edges.data();
    const bool two = group.levels == 2;
    for (std::int64_t i = 0; !two && i < group.levels; ++i) std::fill_n(out + i * stride, rows, values[2 * i]);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t level = level_of(x[row], group.levels);
      if (two) {
        out[row] = values[level < 0 ? 2 : level];
      } else if (level >= 0) {
        out[level * stride + row] = values[2 * level + 1];
      }
    }
    return;
  }
  const T* table = columns.tables.data + j * columns.tables.size();
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t level = level_of(x[row], group.levels);
    const T* entry = table + (level < 0 ? group.levels : level) * group.outputs;
    for (std::int64_t i = 0; i < group.outputs; ++i) out[i * stride + row] = entry[i];
  }
}

template <typename T>
std::int64_t inputs_of(const std::vector<EmbeddedColumns<T>>& groups) {
  return groups.back().first_input + groups.back().group.columns * groups.back().group.width();
}

template <typename T>
std::int64_t kernel_scratch(const KernelTable<T>& kernels, const InputGroup& group) {
  return group.kind == InputKind::number ? kernels.embedding_scratch(group.bases, group.outputs) : 0;
}

}  // namespace

template <typename T>
std::int64_t input_scratch_size(const KernelTable<T>& kernels, const std::vector<EmbeddedColumns<T>>& groups,
                                std::int64_t rows) {
  if (groups.empty()) return 0;
  const std::int64_t panel = kernels.panel;
  const std::int64_t samples = groups.back().first_column + groups.back().group.columns;
  std::int64_t most = checked_product(round_up(samples, panel), panel);
  for (const EmbeddedColumns<T>& columns : groups) {
    const InputGroup& group = columns.group;
    const std::int64_t kernel = kernel_scratch(kernels, group);
    const std::int64_t forward = checked_sum(checked_product(round_up(inputs_of(groups), panel), panel), kernel);
    std::int64_t backward = checked_sum(checked_product(group.width(), rows), kernel);
    for (const Panels<T>& array :
         {columns.frequencies, columns.phases, columns.maps, columns.map_biases, columns.tables}) {
      backward = checked_sum(backward, array.size());
    }
    most = std::max({most, forward, backward});
  }
  return most;
}

template <typename T>
void take_columns(const KernelTable<T>& kernels, const std::vector<EmbeddedColumns<T>>& groups,
                  const Panels<T>& samples, Range rows, const SampleColumns<T>& columns, std::int64_t first) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t column = 0; column < samples.cols; ++column) {
      *columns.at(column, first + row - rows.begin) = samples.at(column / samples.panel, row)[column % samples.panel];
    }
  }
  for (const EmbeddedColumns<T>& group : groups) {
    if (group.group.clip == 0) continue;
    for (std::int64_t j = 0; j < group.group.columns; ++j) {
      T* x = columns.at(group.first_column + j, first);
      kernels.smooth_clip(rows.size(), static_cast<T>(group.group.clip), x, x);
    }
  }
}

template <typename T>
void embed_rows(const KernelTable<T>& kernels, const std::vector<EmbeddedColumns<T>>& groups,
                const SampleColumns<T>& columns, const Panels<T>& inputs, Range rows, T* scratch) {
  const std::int64_t panel = inputs.panel;
  T* kernel_scratch = scratch + round_up(inputs.cols, panel) * panel;
  for (std::int64_t row = rows.begin; row < rows.end; row += panel) {
    const std::int64_t count = std::min(panel, rows.end - row);
    for (const EmbeddedColumns<T>& group : groups) {
      for (std::int64_t j = 0; j < group.group.columns; ++j) {
        T* out = scratch + (group.first_input + j * group.group.width()) * panel;
        embed_column(kernels, group, j, count, columns.at(group.first_column + j, row), panel, out, kernel_scratch);
      }
    }
    for (std::int64_t p = 0; p < inputs.count(); ++p) {
      kernels.transpose(inputs.width(p), count, scratch + p * panel * panel, inputs.at(p, row));
    }
  }
}

template <typename T>
void scale_inputs(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const Panels<T>& inputs,
                  const Panels<T>& scaled, Range rows) {
  const std::int64_t shared = scaled.rows / inputs.rows;  // members that one row of the inputs serves
  for (std::int64_t p = 0; p < inputs.count(); ++p) {
    for_members(layer.members, scaled.rows, rows, [&](std::int64_t member, Range part) {
      const std::int64_t first = shared == 1 ? part.begin : part.begin - member * inputs.rows;
      const T* source = inputs.at(p, first);
      T* destination = scaled.at(p, part.begin);
      if (layer.input_scales == nullptr) {
        std::copy_n(source, part.size() * inputs.panel, destination);
      } else {
        kernels.scale_columns(part.size(), vectors_for(kernels, inputs.width(p)),
                              layer.input_scales + member * layer.input_stride + p * inputs.panel, source, destination);
      }
    });
  }
}

template <typename T>
void scale_inputs_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const Panels<T>& inputs,
                           const Panels<T>& gradient, T* dscales, std::int64_t p) {
  const std::int64_t vectors = vectors_for(kernels, gradient.width(p));
  const bool shared = inputs.rows < gradient.rows;
  for_members(layer.members, gradient.rows, {0, gradient.rows}, [&](std::int64_t member, Range part) {
    const std::int64_t first = member * layer.input_stride + p * gradient.panel;
    T* own = gradient.at(p, part.begin);
    kernels.dot_columns(part.size(), vectors, own, inputs.at(p, shared ? 0 : part.begin), dscales + first);
    kernels.scale_columns(part.size(), vectors, layer.input_scales + first, own, own);
  });
}

template <typename T>
void add_members(std::int64_t members, const Panels<T>& gradient, std::int64_t p) {
  const std::int64_t elements = gradient.rows / members * gradient.panel;
  T* sum = gradient.at(p);
  for (std::int64_t member = 1; member < members; ++member) {
    const T* own = sum + member * elements;
    for (std::int64_t i = 0; i < elements; ++i) sum[i] += own[i];
  }
}

namespace {

/// Columns of the gradient by the inputs, one after the other.
template <typename T>
void take_gradient(const Panels<T>& gradient, std::int64_t first_input, std::int64_t width, std::int64_t rows, T* out) {
  for (std::int64_t i = 0; i < width; ++i) {
    const std::int64_t input = first_input + i;
    const T* from = gradient.at(input / gradient.panel) + input % gradient.panel;
    for (std::int64_t row = 0; row < rows; ++row) out[i * rows + row] = from[row * gradient.panel];
  }
}

/// Adds the gradient of each row to that of its level, in the order of the rows.
template <typename T>
void add_to_levels(const InputGroup& group, const T* codes, std::int64_t rows, const T* gradient, T* table) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t level = level_of(codes[row], group.levels);
    T* entry = table + (level < 0 ? group.levels : level) * group.outputs;
    for (std::int64_t i = 0; i < group.outputs; ++i) entry[i] += gradient[i * rows + row];
  }
}

}  // namespace

template <typename T>
void embed_backward(const KernelTable<T>& kernels, const EmbeddedColumns<T>& columns, std::int64_t j,
                    const SampleColumns<T>& samples, const Panels<T>& gradient, std::int64_t rows,
                    const GradientSink<T>& sink, T* scratch) {
  const InputGroup& group = columns.group;
  const std::int64_t width = group.width();
  const T* x = samples.at(columns.first_column + j, 0);
  take_gradient(gradient, columns.first_input + j * width, width, rows, scratch);
  T* next = scratch + width * rows;
  const auto take = [&](const Panels<T>& array) {
    T* taken = next;
    next += array.size();
    std::fill_n(taken, array.size(), T{0});
    return taken;
  };
  const auto give = [&](ParameterKind kind, const Panels<T>& array, const T* values) {
    if (array.data != nullptr) deliver(kernels, sink, kind, array.size(), array.data + j * array.size(), values);
  };
  if (group.kind == InputKind::category) {
    T* table = take(columns.tables);
    add_to_levels(group, x, rows, scratch, table);
    give(ParameterKind::tables, columns.tables, table);
    return;
  }
  const EmbeddingGradients<T> gradients{.frequencies = take(columns.frequencies),
                                        .phases = take(columns.phases),
                                        .maps = take(columns.maps),
                                        .map_bias = take(columns.map_biases),
                                        .x = nullptr};
  kernels.embed_backward[static_cast<int>(group.basis)](embedding_call(columns, j, rows, x, rows, next), scratch,
                                                        gradients);
  give(ParameterKind::frequencies, columns.frequencies, gradients.frequencies);
  give(ParameterKind::phases, columns.phases, gradients.phases);
  give(ParameterKind::maps, columns.maps, gradients.maps);
  give(ParameterKind::map_biases, columns.map_biases, gradients.map_bias);
}

#define FASTMLP_INSTANTIATE(T)                                                                                         \
  template std::int64_t input_scratch_size(const KernelTable<T>&, const std::vector<EmbeddedColumns<T>>&,              \
                                           std::int64_t);                                                              \
  template void take_columns(const KernelTable<T>&, const std::vector<EmbeddedColumns<T>>&, const Panels<T>&, Range,   \
                             const SampleColumns<T>&, std::int64_t);                                                   \
  template void embed_rows(const KernelTable<T>&, const std::vector<EmbeddedColumns<T>>&, const SampleColumns<T>&,     \
                           const Panels<T>&, Range, T*);                                                               \
  template void scale_inputs(const KernelTable<T>&, const DenseLayer<T>&, const Panels<T>&, const Panels<T>&, Range);  \
  template void scale_inputs_backward(const KernelTable<T>&, const DenseLayer<T>&, const Panels<T>&, const Panels<T>&, \
                                      T*, std::int64_t);                                                               \
  template void add_members(std::int64_t, const Panels<T>&, std::int64_t);                                             \
  template void embed_backward(const KernelTable<T>&, const EmbeddedColumns<T>&, std::int64_t,                         \
                               const SampleColumns<T>&, const Panels<T>&, std::int64_t, const GradientSink<T>&, T*);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

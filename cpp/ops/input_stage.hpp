// The inputs of the first layer from the columns of samples: numbers, clipped and embedded, and codes of categories, as
// they are looked up in a trained table or spread over one input per level. Each member of an ensemble scales them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "ops/dense.hpp"
#include "ops/gradient_sink.hpp"

namespace fastmlp {

enum class InputKind : int { number, one_hot, category };
inline constexpr auto kInputKindNames = std::to_array<const char*>({"number", "one_hot", "category"});

/// Consecutive columns of the samples that become inputs in the same way, each with parameters of its own.
struct InputGroup {
  InputKind kind = InputKind::number;
  std::int64_t columns = 1;
  double clip = 0;             // numbers: smooth bound of their magnitude; 0: none
  Basis basis = Basis::value;  // numbers: functions of one column
  std::int64_t bases = 1;      // number of these functions
  std::int64_t outputs = 0;    // numbers: of a trained map of the functions, 0: none; categories: of a trained table
  bool relu = false;           // after the map
  bool keeps_value = false;    // the number itself is an input too, the last
  // Piecewise linear functions: bases + 1 edges per column. one_hot: see width().
  std::vector<double> edges{};
  std::int64_t levels = 0;  // one_hot and category: codes 0..levels-1, all others stand for unknown ones
  double deviation = 0;     // of the initial frequencies

  /// Inputs that one column becomes: of one_hot one per level, whose two values off and on are 2 elements of `edges`.
  /// Two levels become one input, whose values for level 0, level 1 and unknown ones are the 3 elements.
  std::int64_t width() const {
    if (kind == InputKind::one_hot) return levels == 2 ? 1 : levels;
    if (kind == InputKind::category) return outputs;
    return (outputs > 0 ? outputs : bases) + (keeps_value ? 1 : 0);
  }
  /// Elements of `edges`.
  std::int64_t fixed_values() const {
    if (kind == InputKind::one_hot) return levels == 2 ? 3 : 2 * levels;
    return kind == InputKind::number && basis == Basis::piecewise_linear ? columns * (bases + 1) : 0;
  }
  bool has_frequencies() const {
    return kind == InputKind::number && (basis == Basis::cosine || basis == Basis::periodic);
  }
  bool has_phases() const { return kind == InputKind::number && basis == Basis::cosine; }
  /// Frequencies of a column: a cosine and a sine share one.
  std::int64_t frequencies() const { return basis == Basis::periodic ? bases / 2 : bases; }
  bool has_map() const { return kind == InputKind::number && outputs > 0; }
  bool is_trained() const { return has_frequencies() || has_map() || kind == InputKind::category; }
};

/// A group with its places and parameters. Of each array every column has its own, one after the other.
template <typename T>
struct EmbeddedColumns {
  InputGroup group;
  std::int64_t first_column = 0;  // of the samples
  std::int64_t first_input = 0;   // of the first layer
  std::vector<T> edges;
  // One row each, padded to whole panels, of the first column; no data: there are none. Row `levels` of a table, which
  // is row-major, belongs to unknown levels.
  Panels<T> frequencies{};
  Panels<T> phases{};
  Panels<T> maps{};
  Panels<T> map_biases{};
  Panels<T> tables{};
};

/// Numbers and codes of a batch, column by column.
template <typename T>
struct SampleColumns {
  T* data = nullptr;
  std::int64_t stride = 0;  // from one column to the next

  T* at(std::int64_t column, std::int64_t row) const { return data + column * stride + row; }
};

/// Elements of scratch memory for a panel of samples, for embed_rows, and for embed_backward on at most `rows` rows.
template <typename T>
std::int64_t input_scratch_size(const KernelTable<T>& kernels, const std::vector<EmbeddedColumns<T>>& columns,
                                std::int64_t rows);

/// Rows `rows` of the samples, in panels, become rows of `columns` from row `first` on; numbers are clipped.
template <typename T>
void take_columns(const KernelTable<T>& kernels, const std::vector<EmbeddedColumns<T>>& groups,
                  const Panels<T>& samples, Range rows, const SampleColumns<T>& columns, std::int64_t first);

/// Rows `rows` of the inputs, without scales.
template <typename T>
void embed_rows(const KernelTable<T>& kernels, const std::vector<EmbeddedColumns<T>>& groups,
                const SampleColumns<T>& columns, const Panels<T>& inputs, Range rows, T* scratch);

/// scaled = inputs times the scales of the first layer, if it has any, for rows `rows` of all members; a row of the
/// inputs serves one row of each member.
template <typename T>
void scale_inputs(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const Panels<T>& inputs,
                  const Panels<T>& scaled, Range rows);

/// Panel p of the gradient by a layer's scaled inputs, all rows, becomes that by the inputs; dscales: as the layer's
/// input_scales. `inputs` has the rows of all members, or of one that serves all.
template <typename T>
void scale_inputs_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const Panels<T>& inputs,
                           const Panels<T>& gradient, T* dscales, std::int64_t p);

/// Adds panel p of the gradients of all members in the rows of the first.
template <typename T>
void add_members(std::int64_t members, const Panels<T>& gradient, std::int64_t p);

/// Gradients of the parameters of column `j` of a group go to the sink. `gradient` is that by the inputs, `rows` rows.
template <typename T>
void embed_backward(const KernelTable<T>& kernels, const EmbeddedColumns<T>& group, std::int64_t j,
                    const SampleColumns<T>& columns, const Panels<T>& gradient, std::int64_t rows,
                    const GradientSink<T>& sink, T* scratch);

}  // namespace fastmlp

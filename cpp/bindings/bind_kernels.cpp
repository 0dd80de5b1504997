// _core.kernels: every kernel family on plain arrays, through the ops and layouts that training uses. Buffers that a
// kernel must overwrite hold NaN before, so that tests notice an element that it leaves out. Products are computed as
// in a training, without subnormal numbers.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include "base/arithmetic.hpp"
#include "base/team.hpp"
#include "bindings/array_args.hpp"
#include "bindings/embedding_kernels.hpp"
#include "bindings/register.hpp"
#include "bindings/sample_args.hpp"
#include "kernels/dispatch.hpp"
#include "network/initializer.hpp"
#include "network/spec.hpp"
#include "ops/dense.hpp"
#include "ops/loss.hpp"
#include "ops/pack.hpp"
#include "ops/random.hpp"

namespace fastmlp::bindings {
namespace {

/// Name of an instruction set; None: the active one.
using IsaName = std::optional<std::string>;

/// A panel matrix that owns its memory.
template <typename T>
class PanelBuffer {
 public:
  PanelBuffer(std::int64_t rows, std::int64_t cols, int panel)
      : panels_{nullptr, rows, cols, panel},
        data_(static_cast<std::size_t>(panels_.size()), std::numeric_limits<T>::quiet_NaN()) {
    panels_.data = data_.data();
  }
  PanelBuffer(const Array<T>& source, int panel) : PanelBuffer(source.shape(0), source.shape(1), panel) {
    pack(source.data(), panels_);
  }
  const Panels<T>& panels() const { return panels_; }
  Array<T> to_array() const {
    Array<T> result = new_array<T>({panels_.rows, panels_.cols});
    unpack(panels_, {0, panels_.rows}, result.mutable_data());
    return result;
  }

  /// to_array() of what the transpose wrote; throws unless its computed lanes beyond the columns are zero.
  Array<T> to_array_with_zero_padding(const KernelTable<T>& kernels) const {
    for (std::int64_t p = 0; p < panels_.count(); ++p) {
      const std::int64_t computed = vectors_for(kernels, panels_.width(p)) * kernels.lanes;
      for (std::int64_t row = 0; row < panels_.rows; ++row) {
        const T* lanes = panels_.at(p, row);
        if (std::any_of(lanes + panels_.width(p), lanes + computed, [](T lane) { return lane != 0; })) {
          throw std::logic_error("padding of a gradient is not zero");
        }
      }
    }
    return to_array();
  }

 private:
  Panels<T> panels_;
  std::vector<T> data_;
};

template <typename T>
std::vector<T> nan_scratch(std::int64_t count) {
  return std::vector<T>(static_cast<std::size_t>(count), std::numeric_limits<T>::quiet_NaN());
}

void require_matrix(const py::array& array, const char* name) {
  require(array.ndim() == 2 && array.size() > 0, std::string(name) + " must be a matrix that is not empty");
}

/// Calls work(range) for each block of the inner dimension, ascending; block 0: one block of all.
template <typename Work>
void for_depth_blocks(std::int64_t depth, std::int64_t block, Work work) {
  const std::int64_t step = block > 0 ? block : depth;
  for (std::int64_t k = 0; k < depth; k += step) work(Range{k, std::min(k + step, depth)});
}

template <typename T>
Array<T> gemm_nn(const Array<T>& x, const Array<T>& w, int threads, std::int64_t block_panels, const IsaName& isa) {
  require_matrix(x, "x");
  require_threads(threads, 1);
  require_shape<T>(w, "w", {x.shape(1), w.ndim() == 2 ? w.shape(1) : 1});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> input(x, kernels.panel);
  const PanelBuffer<T> weights(w, kernels.panel);
  const PanelBuffer<T> output(x.shape(0), w.shape(1), kernels.panel);
  std::vector<T> bias(static_cast<std::size_t>(weights.panels().count() * kernels.panel));
  const DenseLayer<T> layer{.weights = weights.panels(), .bias = bias.data()};
  run_team(threads, [&](const Worker& worker) {
    const WithoutSubnormals arithmetic;
    const Range rows = even_share(x.shape(0), worker.index, worker.count);
    if (rows.size() == 0) return;
    for_depth_blocks(x.shape(1), block_panels * kernels.panel, [&](Range depth) {
      dense_forward<T>(kernels, layer, {input.panels()}, {output.panels()}, {}, rows, depth,
                       {0, output.panels().count()});
    });
  });
  return output.to_array();
}

template <typename T>
Array<T> gemm_tn(const Array<T>& x, const Array<T>& dz, int threads, std::int64_t block_panels, const IsaName& isa) {
  require_matrix(x, "x");
  require_threads(threads, 1);
  require_shape<T>(dz, "dz", {x.shape(0), dz.ndim() == 2 ? dz.shape(1) : 1});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> input(x, kernels.panel);
  const PanelBuffer<T> gradient(dz, kernels.panel);
  const PanelBuffer<T> result(x.shape(1), dz.shape(1), kernels.panel);
  // One array for the weights and the biases, as in a network: gradients lie parallel to parameters.
  const std::int64_t padded = result.panels().count() * kernels.panel;
  std::vector<T> parameters(static_cast<std::size_t>(result.panels().size() + padded));
  std::vector<T> gradients = nan_scratch<T>(static_cast<std::int64_t>(parameters.size()));
  DenseLayer<T> layer{.weights = result.panels(), .bias = parameters.data() + result.panels().size()};
  layer.weights.data = parameters.data();
  GradientSink<T> sink;
  sink.parameters = parameters.data();
  sink.gradients = gradients.data();
  std::vector<std::vector<T>> scratches(static_cast<std::size_t>(threads),
                                        nan_scratch<T>(std::int64_t{kernels.panel} * kernels.panel));
  run_team(threads, [&](const Worker& worker) {
    const WithoutSubnormals arithmetic;
    dense_backward_weights(kernels, layer, {input.panels()}, {gradient.panels()},
                           even_share(weight_blocks({input.panels()}, layer), worker.index, worker.count),
                           std::max<std::int64_t>(block_panels, 1), sink,
                           scratches[static_cast<std::size_t>(worker.index)].data());
  });
  std::copy_n(gradients.data(), result.panels().size(), result.panels().data);
  return result.to_array();
}

/// Computes the gradient of the input; `by_rows`: from transposed blocks of w, else with the rows of dz in the lanes.
template <typename T, bool by_rows>
Array<T> gemm_nt(const Array<T>& dz, const Array<T>& w, int threads, std::int64_t block_panels, const IsaName& isa) {
  require_matrix(dz, "dz");
  require_matrix(w, "w");
  require_threads(threads, 1);
  require_shape<T>(w, "w", {w.shape(0), dz.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> gradient(dz, kernels.panel);
  const PanelBuffer<T> weights(w, kernels.panel);
  const PanelBuffer<T> result(dz.shape(0), w.shape(0), kernels.panel);
  const Derivative<T> derivative{Activation::identity, 0, {result.panels()}};
  // Allocated here, because threads must not throw; for all rows, because there may be one thread only.
  const std::int64_t transposed = by_rows ? 0 : transposed_size(dz.shape(0), dz.shape(1), kernels.panel);
  const std::int64_t block = kernels.panel * (by_rows ? dz.shape(1) : kernels.panel);
  std::vector<std::vector<T>> scratches(static_cast<std::size_t>(threads), nan_scratch<T>(transposed + block));
  run_team(threads, [&](const Worker& worker) {
    const WithoutSubnormals arithmetic;
    const Range rows = even_share(dz.shape(0), worker.index, worker.count);
    if (rows.size() == 0) return;
    T* scratch = scratches[static_cast<std::size_t>(worker.index)].data();
    const Range all{0, result.panels().count()};
    const std::int64_t depth_block = block_panels * kernels.panel;
    if constexpr (by_rows) {
      for_depth_blocks(dz.shape(1), depth_block, [&](Range depth) {
        dense_backward_data_by_rows(kernels, weights.panels(), gradient.panels(), derivative, result.panels(), rows,
                                    depth, all, scratch);
      });
    } else {
      transpose_rows(kernels, gradient.panels(), rows, scratch);
      for_depth_blocks(dz.shape(1), rows.size() % kernels.panel == 0 ? depth_block : 0, [&](Range depth) {
        dense_backward_data(kernels, weights.panels(), scratch, derivative, result.panels(), rows, depth, all,
                            scratch + transposed);
      });
    }
  });
  // By rows the padding is the product of a gradient and zeros.
  const bool zero_padding = !by_rows || kernels.all_finite[static_cast<int>(kInputType<T>)](dz.size(), dz.data());
  return zero_padding ? result.to_array_with_zero_padding(kernels) : result.to_array();
}

template <typename T>
Array<T> elementwise(const std::string& name, const Array<T>& x, const IsaName& isa) {
  require(x.ndim() == 1, "x must have one dimension");
  Array<T> y = new_array<T>({x.shape(0)});
  kernel_table<T>(isa.value_or(""))
      .elementwise[find_name(kElementwiseNames, name, "name")](x.shape(0), x.data(), y.mutable_data());
  return y;
}

/// Returns values and derivatives of an activation.
template <typename T>
py::tuple activation(const std::string& name, const Array<T>& z, const Array<T>& bias, T parameter,
                     const IsaName& isa) {
  require_matrix(z, "z");
  require_shape<T>(bias, "bias", {z.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> values(z, kernels.panel);
  const PanelBuffer<T> derivatives(z.shape(0), z.shape(1), kernels.panel);
  std::vector<T> padded(static_cast<std::size_t>(values.panels().count() * kernels.panel));
  std::copy_n(bias.data(), bias.size(), padded.data());
  const int which = find_name(kActivationNames, name, "activation");
  const DenseLayer<T> layer{
      .weights = {}, .bias = padded.data(), .activation = static_cast<Activation>(which), .parameter = parameter};
  for (std::int64_t p = 0; p < values.panels().count(); ++p) {
    dense_finish<T>(kernels, layer, {values.panels(), derivatives.panels()}, {}, {0, z.shape(0)}, p);
  }
  return py::make_tuple(values.to_array(), derivatives.to_array());
}

/// Returns doutput times the derivative, which is computed from the output.
template <typename T>
Array<T> activation_backward(const std::string& name, const Array<T>& output, const Array<T>& doutput, T parameter,
                             const IsaName& isa) {
  require_matrix(output, "output");
  require_shape<T>(doutput, "doutput", {output.shape(0), output.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> values(output, kernels.panel);
  const PanelBuffer<T> gradient(doutput, kernels.panel);
  const int which = find_name(kActivationNames, name, "activation");
  require(kernels.derivative_from_output[which], "the derivative of " + name + " does not follow from its output");
  const Derivative<T> derivative{static_cast<Activation>(which), parameter, {values.panels()}};
  for (std::int64_t p = 0; p < gradient.panels().count(); ++p) {
    apply_derivative(kernels, derivative, {0, output.shape(0)}, p, gradient.panels().at(p));
  }
  return gradient.to_array();
}

/// Calls work(panel, vectors of it) for each panel.
template <typename T, typename Work>
void for_each_panel(const Panels<T>& panels, const KernelTable<T>& kernels, Work work) {
  for (std::int64_t p = 0; p < panels.count(); ++p) work(p, vectors_for(kernels, panels.width(p)));
}

template <typename T>
std::vector<T> padded_to(const Array<T>& values, const Panels<T>& panels) {
  std::vector<T> padded(static_cast<std::size_t>(panels.count() * panels.panel));
  std::copy_n(values.data(), values.size(), padded.data());
  return padded;
}

/// Returns values, derivatives and residues of an activation that is mixed with the identity.
template <typename T>
py::tuple activation_mixed(const std::string& name, const Array<T>& z, const Array<T>& bias, const Array<T>& mixes,
                           T parameter, const IsaName& isa) {
  require_matrix(z, "z");
  require_shape<T>(bias, "bias", {z.shape(1)});
  require_shape<T>(mixes, "mixes", {z.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const auto activate = kernels.activate_mixed[find_name(kActivationNames, name, "activation")];
  const PanelBuffer<T> values(z, kernels.panel);
  const PanelBuffer<T> alone(z, kernels.panel);
  const PanelBuffer<T> derivatives(z.shape(0), z.shape(1), kernels.panel);
  const PanelBuffer<T> residues(z.shape(0), z.shape(1), kernels.panel);
  const std::vector<T> biases = padded_to(bias, values.panels());
  const std::vector<T> factors = padded_to(mixes, values.panels());
  for_each_panel(values.panels(), kernels, [&](std::int64_t p, std::int64_t vectors) {
    const std::int64_t lane = p * kernels.panel;
    activate(z.shape(0), vectors, parameter, biases.data() + lane, factors.data() + lane, values.panels().at(p),
             derivatives.panels().at(p), residues.panels().at(p));
    activate(z.shape(0), vectors, parameter, biases.data() + lane, factors.data() + lane, alone.panels().at(p), nullptr,
             nullptr);
  });
  return py::make_tuple(values.to_array(), derivatives.to_array(), residues.to_array(), alone.to_array());
}

/// Returns the terms of the gradient of the mixes, and the gradient by the pre-activation.
template <typename T>
py::tuple multiply_mixed(const Array<T>& derivatives, const Array<T>& residues, const Array<T>& gradient,
                         const IsaName& isa) {
  require_matrix(derivatives, "derivatives");
  require_shape<T>(residues, "residues", {derivatives.shape(0), derivatives.shape(1)});
  require_shape<T>(gradient, "gradient", {derivatives.shape(0), derivatives.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> factors(derivatives, kernels.panel);
  const PanelBuffer<T> terms(residues, kernels.panel);
  const PanelBuffer<T> gradients(gradient, kernels.panel);
  for_each_panel(factors.panels(), kernels, [&](std::int64_t p, std::int64_t vectors) {
    kernels.multiply_mixed(derivatives.shape(0), vectors, factors.panels().at(p), terms.panels().at(p),
                           gradients.panels().at(p));
  });
  return py::make_tuple(terms.to_array(), gradients.to_array());
}

/// Returns scales * x, computed in place and to another array, which must agree.
template <typename T>
Array<T> scale_columns(const Array<T>& scales, const Array<T>& x, const IsaName& isa) {
  require_matrix(x, "x");
  require_shape<T>(scales, "scales", {x.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> source(x, kernels.panel);
  const PanelBuffer<T> destination(x.shape(0), x.shape(1), kernels.panel);
  const std::vector<T> factors = padded_to(scales, source.panels());
  for_each_panel(source.panels(), kernels, [&](std::int64_t p, std::int64_t vectors) {
    T* panel = source.panels().at(p);
    kernels.scale_columns(x.shape(0), vectors, factors.data() + p * kernels.panel, panel, destination.panels().at(p));
    kernels.scale_columns(x.shape(0), vectors, factors.data() + p * kernels.panel, panel, panel);
  });
  const Array<T> result = destination.to_array();
  if (std::memcmp(source.to_array().data(), result.data(), static_cast<std::size_t>(result.nbytes())) != 0) {
    throw std::logic_error("scaling in place gives another result");
  }
  return result;
}

/// Returns the loss of each row, the gradient, and whether each row is correct.
template <typename T>
py::tuple loss(const std::string& name, const Array<T>& outputs, const py::array& targets, T scale, double parameter,
               double smoothing, const IsaName& isa) {
  require_matrix(outputs, "outputs");
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> values(outputs, kernels.panel);
  const PanelBuffer<T> gradient(outputs.shape(0), outputs.shape(1), kernels.panel);
  LossSpec spec;
  spec.loss = static_cast<Loss>(find_name(kLossNames, name, "loss"));
  spec.outputs = outputs.shape(1);
  require(kernels.loss[static_cast<int>(spec.loss)] != nullptr, name + " has no kernel");
  const auto padded = static_cast<std::size_t>(values.panels().count() * kernels.panel);
  const OutputGroup<T> group{spec.loss,
                             0,
                             spec.outputs,
                             T{1},
                             static_cast<T>(smoothing),
                             std::vector<T>(padded, static_cast<T>(parameter)),
                             std::vector<T>(padded, T{1})};
  Array<T> row_loss = new_array<T>({outputs.shape(0)});
  Array<std::int32_t> correct = new_array<std::int32_t>({outputs.shape(0)});
  const MeasuredRows<T> measured{.rows = {0, outputs.shape(0)},
                                 .scale = scale,
                                 .row_loss = row_loss.mutable_data(),
                                 .correct = correct.mutable_data()};
  KeptArguments kept;
  output_loss<T>(kernels, {group}, {group_targets<T>(targets, spec, outputs.shape(0), kept)}, measured, values.panels(),
                 gradient.panels(), nullptr);
  return py::make_tuple(row_loss, gradient.to_array(), correct);
}

/// Calls reduce(panel's rows, vectors, results...) for each panel; each result has one number for each column.
template <typename T, std::size_t kResults, typename Reduce>
py::tuple reduce_columns(const Panels<T>& panels, const KernelTable<T>& kernels, Reduce reduce) {
  py::tuple results(kResults);
  T* destinations[kResults];
  for (std::size_t i = 0; i < kResults; ++i) {
    Array<T> result = new_array<T>({panels.cols});
    destinations[i] = result.mutable_data();
    results[i] = result;
  }
  for (std::int64_t p = 0; p < panels.count(); ++p) {
    std::vector<T> lanes = nan_scratch<T>(static_cast<std::int64_t>(kResults) * panels.panel);
    T* parts[kResults];
    for (std::size_t i = 0; i < kResults; ++i) parts[i] = lanes.data() + static_cast<std::int64_t>(i) * panels.panel;
    reduce(p, vectors_for(kernels, panels.width(p)), parts);
    for (std::size_t i = 0; i < kResults; ++i)
      std::copy_n(parts[i], panels.width(p), destinations[i] + p * panels.panel);
  }
  return results;
}

/// Returns sum, sum of squares, mean and variance of each column.
template <typename T>
py::tuple column_sums(const Array<T>& x, const IsaName& isa) {
  require_matrix(x, "x");
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> buffer(x, kernels.panel);
  const Panels<T>& values = buffer.panels();
  return reduce_columns<T, 4>(values, kernels, [&](std::int64_t p, std::int64_t vectors, T* const(&parts)[4]) {
    kernels.column_sums(values.rows, vectors, values.at(p), parts[0]);
    kernels.column_squares(values.rows, vectors, values.at(p), parts[1]);
    kernels.column_moments(values.rows, vectors, values.at(p), parts[2], parts[3]);
  });
}

/// Returns the gradients by the scales, by the shift, and by the layer's product.
template <typename T>
py::tuple normalize_backward(const Array<T>& normalized, const Array<T>& gradient, bool from_batch,
                             const IsaName& isa) {
  require_matrix(normalized, "normalized");
  require_shape<T>(gradient, "gradient", {normalized.shape(0), normalized.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> values(normalized, kernels.panel);
  const PanelBuffer<T> gradients(gradient, kernels.panel);
  const std::vector<T> ones(static_cast<std::size_t>(kernels.panel), T{1});
  const py::tuple sums =
      reduce_columns<T, 2>(gradients.panels(), kernels, [&](std::int64_t p, std::int64_t vectors, T* const(&parts)[2]) {
        kernels.normalize_backward(normalized.shape(0), vectors, ones.data(), ones.data(), values.panels().at(p),
                                   from_batch, gradients.panels().at(p), parts[0], parts[1]);
      });
  return py::make_tuple(sums[0], sums[1], gradients.to_array());
}

template <typename T>
Array<T> dot_columns(const Array<T>& a, const Array<T>& b, const IsaName& isa) {
  require_matrix(a, "a");
  require_shape<T>(b, "b", {a.shape(0), a.shape(1)});
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> first(a, kernels.panel);
  const PanelBuffer<T> second(b, kernels.panel);
  return reduce_columns<T, 1>(first.panels(), kernels,
                              [&](std::int64_t p, std::int64_t vectors, T* const(&parts)[1]) {
                                kernels.dot_columns(a.shape(0), vectors, first.panels().at(p), second.panels().at(p),
                                                    parts[0]);
                              })[0]
      .template cast<Array<T>>();
}

template <typename T>
Array<T> limit_norms(const Array<T>& weights, T bound, const IsaName& isa) {
  require_matrix(weights, "weights");
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> buffer(weights, kernels.panel);
  const Panels<T>& panels = buffer.panels();
  for (std::int64_t p = 0; p < panels.count(); ++p) {
    kernels.limit_norms(panels.rows, vectors_for(kernels, panels.width(p)), bound, panels.at(p));
  }
  return buffer.to_array();
}

/// Returns x after dropout, and x with noise, as a network applies them to its input.
template <typename T>
py::tuple disturb(const Array<T>& x, double rate, double deviation, std::uint64_t seed, std::uint32_t level,
                  std::uint32_t step, const IsaName& isa) {
  require_matrix(x, "x");
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  const PanelBuffer<T> dropped(x, kernels.panel);
  const PanelBuffer<T> noisy(x, kernels.panel);
  for (std::int64_t p = 0; p < dropped.panels().count(); ++p) {
    drop_values<T>(kernels, {dropped.panels()}, {rate, seed, level, step}, {0, x.shape(0)}, p);
    add_noise(kernels, noisy.panels(), deviation, seed, step, {}, {0, x.shape(0)}, p);
  }
  return py::make_tuple(dropped.to_array(), noisy.to_array());
}

template <typename T>
py::tuple sgd(const Array<T>& w, const Array<T>& v, const Array<T>& g, T learning_rate, T momentum, bool nesterov, T l2,
              const IsaName& isa) {
  require(w.ndim() == 1, "w must have one dimension");
  require_shape<T>(v, "v", {w.shape(0)});
  require_shape<T>(g, "g", {w.shape(0)});
  const std::int64_t padded = (w.shape(0) + 15) / 16 * 16;
  std::vector<T> arrays[3];
  const Array<T>* sources[3] = {&w, &v, &g};
  for (int i = 0; i < 3; ++i) {
    arrays[i].resize(static_cast<std::size_t>(padded));
    std::copy_n(sources[i]->data(), w.shape(0), arrays[i].data());
  }
  const Optimizer rule = momentum == 0 ? Optimizer::sgd : nesterov ? Optimizer::nesterov : Optimizer::momentum;
  kernel_table<T>(isa.value_or(""))
      .update[static_cast<int>(rule)](padded, arrays[0].data(), arrays[1].data(), padded, arrays[2].data(),
                                      {.learning_rate = learning_rate, .momentum = momentum, .l2 = l2});
  Array<T> results[2] = {new_array<T>({w.shape(0)}), new_array<T>({w.shape(0)})};
  for (int i = 0; i < 2; ++i) std::copy_n(arrays[i].data(), w.shape(0), results[i].mutable_data());
  return py::make_tuple(results[0], results[1]);
}

template <typename T>
Array<T> smooth_clip(const Array<T>& x, T bound, const IsaName& isa) {
  require(x.ndim() == 1, "x must have one dimension");
  Array<T> y = new_array<T>({x.shape(0)});
  kernel_table<T>(isa.value_or("")).smooth_clip(x.shape(0), bound, x.data(), y.mutable_data());
  return y;
}

template <typename T>
Array<T> smooth_clip_backward(const Array<T>& x, const Array<T>& gradient, T bound, const IsaName& isa) {
  require(x.ndim() == 1, "x must have one dimension");
  require_shape<T>(gradient, "gradient", {x.shape(0)});
  Array<T> result = new_array<T>({x.shape(0)});
  std::copy_n(gradient.data(), gradient.size(), result.mutable_data());
  kernel_table<T>(isa.value_or("")).smooth_clip_backward(x.shape(0), bound, x.data(), result.mutable_data());
  return result;
}

/// Returns the instruction set in use and the sizes in its table.
template <typename T>
py::dict geometry(const Array<T>&, const IsaName& isa) {
  const KernelTable<T>& kernels = kernel_table<T>(isa.value_or(""));
  py::dict result;
  result["isa"] = checked_isa(isa.value_or(""));
  result["lanes"] = kernels.lanes;
  result["panel"] = kernels.panel;
  result["tile_rows"] = kernels.tile_rows;
  return result;
}

template <typename T>
void register_for(py::module_& module) {
  const auto arr = [](const char* name) { return py::arg(name).noconvert(); };
  const py::kw_only kw;
  const auto isa = py::arg("isa") = py::none();
  const auto threads = py::arg("threads") = 1;
  const auto block_panels = py::arg("block_panels") = 0;  // panels of one cache block; 0: all in one
  module.def("gemm_nn", gemm_nn<T>, arr("x"), arr("w"), threads, kw, block_panels, isa);
  module.def("gemm_tn", gemm_tn<T>, arr("x"), arr("dz"), threads, kw, block_panels, isa);
  module.def("gemm_nt", gemm_nt<T, false>, arr("dz"), arr("w"), threads, kw, block_panels, isa);
  module.def("gemm_nt_by_rows", gemm_nt<T, true>, arr("dz"), arr("w"), threads, kw, block_panels, isa);
  module.def("elementwise", elementwise<T>, py::arg("name"), arr("x"), kw, isa);
  const auto parameter = py::arg("parameter") = 0;
  module.def("activation", activation<T>, py::arg("name"), arr("z"), arr("bias"), kw, parameter, isa);
  module.def("activation_backward", activation_backward<T>, py::arg("name"), arr("output"), arr("doutput"), kw,
             parameter, isa);
  module.def("activation_mixed", activation_mixed<T>, py::arg("name"), arr("z"), arr("bias"), arr("mixes"), kw,
             parameter, isa);
  module.def("multiply_mixed", multiply_mixed<T>, arr("derivatives"), arr("residues"), arr("gradient"), kw, isa);
  module.def("scale_columns", scale_columns<T>, arr("scales"), arr("x"), kw, isa);
  module.def("dot_columns", dot_columns<T>, arr("a"), arr("b"), kw, isa);
  module.def("smooth_clip", smooth_clip<T>, arr("x"), py::arg("bound"), kw, isa);
  module.def("smooth_clip_backward", smooth_clip_backward<T>, arr("x"), arr("gradient"), py::arg("bound"), kw, isa);
  register_embedding<T>(module);
  module.def("loss", loss<T>, py::arg("name"), arr("outputs"), py::arg("targets"), py::arg("scale"), kw, parameter,
             py::arg("smoothing") = 0.0, isa);
  module.def("column_sums", column_sums<T>, arr("x"), kw, isa);
  module.def("normalize_backward", normalize_backward<T>, arr("normalized"), arr("gradient"), kw, py::arg("from_batch"),
             isa);
  module.def("limit_norms", limit_norms<T>, arr("weights"), py::arg("bound"), kw, isa);
  module.def("disturb", disturb<T>, arr("x"), kw, py::arg("rate"), py::arg("deviation"), py::arg("seed"),
             py::arg("level") = 0, py::arg("step") = 0, isa);
  module.def("sgd", sgd<T>, arr("w"), arr("v"), arr("g"), py::arg("learning_rate"), py::arg("momentum"),
             py::arg("nesterov"), py::arg("l2"), kw, isa);
  module.def("geometry", geometry<T>, arr("like"), kw, isa);
}

template <std::size_t N>
py::tuple tuple_of(const std::array<const char*, N>& names) {
  return py::tuple(py::cast(names));
}

}  // namespace

void register_kernels(py::module_& module) {
  module.attr("names") =
      py::dict(py::arg("activation") = tuple_of(kActivationNames), py::arg("loss") = tuple_of(kLossNames),
               py::arg("optimizer") = tuple_of(kOptimizerNames), py::arg("elementwise") = tuple_of(kElementwiseNames),
               py::arg("basis") = tuple_of(kBasisNames), py::arg("initializer") = tuple_of(kInitializerNames));
  register_for<float>(module);
  register_for<double>(module);
}

}  // namespace fastmlp::bindings

#include "network/mlp.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "kernels/dispatch.hpp"
#include "ops/pack.hpp"

namespace fastmlp {
namespace {

void check_group(const InputGroup& group) {
  require(group.columns >= 1, "a group of inputs must have columns");
  require(group.clip >= 0, "clip must be >= 0");
  require(static_cast<std::int64_t>(group.edges.size()) == group.fixed_values(),
          "piecewise linear functions must have their edges, one-hot inputs their values");
  if (group.kind != InputKind::number) {
    require(group.columns == 1, "a category is one column");
    require(group.levels >= 1 && group.levels <= std::int64_t{1} << 24, "a category must have 1 to 2^24 levels");
    require(group.kind == InputKind::one_hot || group.outputs >= 1, "a category must have an embedding of 1 or more");
    return;
  }
  require(group.bases >= 1 && group.outputs >= 0, "an embedding must have 1 or more functions");
  require(group.basis != Basis::value || group.bases == 1, "a number by itself is one function");
  require(group.basis != Basis::periodic || group.bases % 2 == 0, "periodic functions come in pairs");
}

void check_inputs(const NetworkSpec& spec) {
  // Bounded so that products of two sizes, and rounding up to panels, do not overflow.
  constexpr std::int64_t kMostOfGroup = std::int64_t{1} << 30;
  constexpr std::int64_t kMostInputs = std::int64_t{1} << 48;
  require(spec.members >= 1 && spec.members <= std::int64_t{1} << 16, "members must be 1 to 2^16");
  std::int64_t columns = 0;
  std::int64_t inputs = 0;
  for (const InputGroup& group : spec.inputs) {
    if (std::max({group.columns, group.bases, group.outputs}) > kMostOfGroup) throw std::bad_alloc();
    check_group(group);
    columns = checked_sum(columns, group.columns);
    inputs = checked_sum(inputs, group.columns * group.width());
  }
  if (inputs > kMostInputs) throw std::bad_alloc();
  require(spec.inputs.empty() || columns == spec.features(), "the groups of inputs must cover all features");
  require(!spec.has_input_stage() || !spec.disturbs_input(),
          "noise and dropout of the input need inputs without embeddings, scales and members");
  for (const LossSpec& loss : spec.losses) {
    require(spec.members == 1 || loss.loss != Loss::user_defined, "members need a loss of the core");
  }
}

/// Layer normalization and residual blocks.
void check_rows(const NetworkSpec& spec) {
  require(!spec.layers.back().layer_norm && !spec.layers.back().residual,
          "the last layer neither has layer normalization nor ends a residual block");
  for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) {
    const LayerSpec& layer = spec.layers[l];
    require(!layer.residual || l >= kBlockLayers, "a residual block must begin at a layer");
    require(!layer.residual || spec.layer_sizes[l + 1] == spec.layer_sizes[l + 1 - kBlockLayers],
            "a residual block must begin and end at layers of one width");
    if (!spec.finishes_rows(l)) continue;
    require(spec.members == 1, "layer normalization and residual blocks need a network without members");
    require(!layer.batch_norm && !layer.output_scales && !spec.layers[l + 1].input_scales,
            "layer normalization and residual blocks exclude batch normalization and scales");
  }
}

void check_spec(const NetworkSpec& spec) {
  require(spec.layer_sizes.size() >= 2, "layer_sizes must have at least 2 entries (features and outputs), got " +
                                            std::to_string(spec.layer_sizes.size()));
  for (const std::int64_t size : spec.layer_sizes) {
    require(size >= 1, "layer_sizes must be positive, got " + std::to_string(size));
    // Bounded so that rounding up to panels does not overflow.
    if (size > std::int64_t{1} << 48) throw std::bad_alloc();
  }
  require(spec.layers.size() + 1 == spec.layer_sizes.size(), "one activation per layer is required");
  std::int64_t outputs = 0;
  for (const LossSpec& loss : spec.losses) {
    require(loss.outputs >= 1 && loss.outputs <= spec.outputs(), "a loss must have outputs of the network");
    for (const std::size_t size : {loss.parameters.size(), loss.output_weights.size()}) {
      require(size == 1 || size == static_cast<std::size_t>(loss.outputs),
              "a loss must have one parameter and one weight, for all outputs or for each");
    }
    outputs += loss.outputs;
  }
  require(outputs == spec.outputs(), "the losses must cover all outputs");
  const LayerSpec& last = spec.layers.back();
  require(!last.batch_norm && !last.output_scales && !last.mixes && last.dropout == 0,
          "the last layer has neither batch normalization nor scales, mixes or dropout");
  check_rows(spec);
  check_inputs(spec);
}

/// Whole panels with one value per output, or with one value for all; zero beyond the outputs.
template <typename T>
std::vector<T> per_output(const std::vector<double>& values, std::int64_t outputs, std::int64_t panel) {
  std::vector<T> padded(static_cast<std::size_t>(round_up(outputs, panel)));
  if (values.size() == 1) {
    std::fill_n(padded.begin(), outputs, static_cast<T>(values.front()));
  } else {
    std::copy(values.begin(), values.end(), padded.begin());
  }
  return padded;
}

/// Fills the columns of an array, but not its padding.
template <typename T>
void fill(const ParameterArray<T>& array, T value) {
  for (std::int64_t i = 0; i < array.copies; ++i)
    std::fill_n(array.first.data + i * array.stride(), array.first.cols, value);
}

template <typename T>
void place(const ParameterArray<T>& array, DenseLayer<T>& layer) {
  T* data = array.first.data;
  switch (array.kind) {
    case ParameterKind::weights:
      layer.weights = array.first;
      layer.weights_stride = array.stride();
      return;
    case ParameterKind::biases:
      layer.bias = data;
      layer.output_stride = array.stride();
      return;
    case ParameterKind::input_scales:
      layer.input_scales = data;
      layer.input_stride = array.stride();
      return fill(array, T{1});
    case ParameterKind::scales:
      layer.scales = data;
      return fill(array, T{1});
    case ParameterKind::shifts:
      layer.shifts = data;
      return;
    case ParameterKind::mixes:
      layer.mixes = data;
      return fill(array, T{1});
    case ParameterKind::means:
      layer.means = data;
      return;
    case ParameterKind::variances:
      layer.variances = data;
      return fill(array, T{1});
    default:
      return;
  }
}

template <typename T>
void place(const ParameterArray<T>& array, EmbeddedColumns<T>& columns) {
  switch (array.kind) {
    case ParameterKind::frequencies:
      columns.frequencies = array.first;
      return;
    case ParameterKind::phases:
      columns.phases = array.first;
      return;
    case ParameterKind::maps:
      columns.maps = array.first;
      return;
    case ParameterKind::map_biases:
      columns.map_biases = array.first;
      return;
    case ParameterKind::tables:
      columns.tables = array.first;
      return;
    default:
      return;
  }
}

template <typename T>
OutputGroup<T> make_group(const LossSpec& loss, std::int64_t first, std::int64_t panel) {
  return {loss.loss,
          first,
          loss.outputs,
          static_cast<T>(loss.weight),
          static_cast<T>(loss.smoothing),
          per_output<T>(loss.parameters, loss.outputs, panel),
          per_output<T>(loss.output_weights, loss.outputs, panel)};
}

}  // namespace

template <typename T>
Mlp<T>::Mlp(NetworkSpec spec, const std::string& isa)
    : spec_(std::move(spec)),
      isa_(checked_isa(isa)),
      kernels_(kernel_table<T>(isa_)),
      bfloat16_kernels_(spec_.bfloat16 ? &fastmlp::bfloat16_kernels(isa_) : nullptr) {
  check_spec(spec_);
  require(!spec_.bfloat16 || (sizeof(T) == sizeof(float) && spec_.members == 1),
          "bfloat16 needs a network of float32 without members");
  layers_.resize(spec_.layers.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) describe_layer(l);
  describe_inputs();
  const auto moments = [](const ParameterArray<T>& array) { return array.is_trained(); };
  std::stable_partition(arrays_.begin(), arrays_.end(), moments);
  allocate();
  std::int64_t first = 0;
  for (const LossSpec& loss : spec_.losses) {
    groups_.push_back(make_group<T>(loss, first, kernels_.panel));
    first += loss.outputs;
  }
}

template <typename T>
void Mlp<T>::describe(ParameterKind kind, std::size_t index, std::int64_t copies, std::int64_t rows, std::int64_t cols,
                      std::vector<std::int64_t> shape) {
  arrays_.push_back({kind, index, {nullptr, rows, cols, kernels_.panel}, copies, std::move(shape)});
}

/// Arrays of a layer. The first dimension of those of which each member has its own is the member.
template <typename T>
void Mlp<T>::describe_layer(std::size_t l) {
  const LayerSpec& layer = spec_.layers[l];
  const std::int64_t inputs = spec_.inputs_of(l);
  const std::int64_t outputs = spec_.layer_sizes[l + 1];
  const std::int64_t members = spec_.members;
  const auto shape = [&](std::vector<std::int64_t> own, bool shared) {
    if (!shared && members > 1) own.insert(own.begin(), members);
    return own;
  };
  describe(ParameterKind::weights, l, layer.own_weights ? members : 1, inputs, outputs,
           shape({inputs, outputs}, !layer.own_weights));
  const auto vector = [&](ParameterKind kind, bool exists, std::int64_t size, bool own) {
    if (exists) describe(kind, l, own ? members : 1, 1, size, shape({size}, !own));
  };
  const auto of_outputs = [&](ParameterKind kind, bool exists) { vector(kind, exists, outputs, layer.own_vectors); };
  of_outputs(ParameterKind::biases, true);
  of_outputs(ParameterKind::scales, layer.batch_norm || layer.output_scales || layer.layer_norm);
  of_outputs(ParameterKind::shifts, layer.layer_norm);
  of_outputs(ParameterKind::mixes, layer.mixes);
  vector(ParameterKind::input_scales, layer.input_scales, inputs, true);
  of_outputs(ParameterKind::means, layer.batch_norm);
  of_outputs(ParameterKind::variances, layer.batch_norm);
}

/// Arrays of the groups of inputs; the first dimension is the column.
template <typename T>
void Mlp<T>::describe_inputs() {
  std::int64_t column = 0;
  std::int64_t input = 0;
  for (std::size_t g = 0; g < spec_.inputs.size(); ++g) {
    const InputGroup& group = spec_.inputs[g];
    EmbeddedColumns<T>& embedded = input_groups_.emplace_back();
    embedded.group = group;
    embedded.first_column = column;
    embedded.first_input = input;
    embedded.edges.assign(group.edges.begin(), group.edges.end());
    column += group.columns;
    input += group.columns * group.width();
    const auto add = [&](ParameterKind kind, bool exists, std::vector<std::int64_t> shape) {
      if (!exists) return;
      std::int64_t size = 1;
      for (const std::int64_t dimension : shape) size = checked_product(size, dimension);
      shape.insert(shape.begin(), group.columns);
      describe(kind, g, group.columns, 1, size, std::move(shape));
    };
    add(ParameterKind::frequencies, group.has_frequencies(), {group.frequencies()});
    add(ParameterKind::phases, group.has_phases(), {group.bases});
    add(ParameterKind::maps, group.has_map(), {group.bases, group.outputs});
    add(ParameterKind::map_biases, group.has_map(), {group.outputs});
    add(ParameterKind::tables, group.kind == InputKind::category, {group.levels + 1, group.outputs});
  }
}

/// Reserves and allocates the arrays, and lets layers and groups of inputs refer to them.
template <typename T>
void Mlp<T>::allocate() {
  std::vector<std::size_t> offsets;
  for (const ParameterArray<T>& array : arrays_) {
    if (!array.is_trained() && parameter_elements_ == 0) {
      parameter_elements_ = static_cast<std::int64_t>(arena_.bytes() / sizeof(T));
    }
    const std::int64_t padded = checked_product(round_up(array.first.cols, array.first.panel), array.first.rows);
    offsets.push_back(arena_.reserve<T>(checked_product(padded, array.copies)));
  }
  state_elements_ = static_cast<std::int64_t>(arena_.bytes() / sizeof(T));
  if (parameter_elements_ == 0) parameter_elements_ = state_elements_;
  arena_.allocate();
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    ParameterArray<T>& array = arrays_[i];
    array.first.data = arena_.at<T>(offsets[i]);
    if (is_of_inputs(array.kind)) {
      place(array, input_groups_[array.index]);
    } else {
      place(array, layers_[array.index]);
    }
  }
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].activation = spec_.layers[l].activation;
    layers_[l].parameter = static_cast<T>(spec_.layers[l].parameter);
    layers_[l].members = spec_.members;
    layers_[l].own_weights = spec_.layers[l].own_weights;
    layers_[l].own_vectors = spec_.layers[l].own_vectors;
    layers_[l].product_only = layers_[l].scales_outputs() || spec_.finishes_rows(l);
  }
}

template <typename T>
const ParameterArray<T>* Mlp<T>::find(ParameterKind kind, std::size_t index) const {
  for (const ParameterArray<T>& array : arrays_) {
    if (array.kind == kind && array.index == index) return &array;
  }
  return nullptr;
}

template <typename T>
void Mlp<T>::get(const ParameterArray<T>& array, const T* state, T* destination) const {
  Panels<T> copy = array.first;
  copy.data = const_cast<T*>(state) + (array.first.data - parameters());
  for (std::int64_t i = 0; i < array.copies; ++i, copy.data += array.stride()) {
    unpack(copy, {0, copy.rows}, destination + i * copy.rows * copy.cols);
  }
}

template <typename T>
void Mlp<T>::set(const ParameterArray<T>& array, const T* source, T* state) const {
  Panels<T> copy = array.first;
  copy.data = state + (array.first.data - parameters());
  for (std::int64_t i = 0; i < array.copies; ++i, copy.data += array.stride()) {
    pack(source + i * copy.rows * copy.cols, copy);
  }
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace fastmlp

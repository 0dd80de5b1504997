#include "network/mlp.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.hpp"
#include "base/parallel_for.hpp"
#include "base/team.hpp"
#include "kernels/dispatch.hpp"
#include "network/input.hpp"
#include "network/plan.hpp"
#include "ops/batch_norm.hpp"
#include "ops/layer_norm.hpp"
#include "ops/members.hpp"
#include "ops/pack.hpp"
#include "ops/residual.hpp"

namespace fastmlp {
namespace {

/// Rows of a block, of all members together.
constexpr std::int64_t kInferenceRows = 128;
constexpr std::int64_t kFewestSamples = 32;
constexpr std::int64_t kBlocksPerThread = 2;
/// The gathered samples of a block stay in the second-level cache.
constexpr std::int64_t kInputBytes = 256 << 10;
/// More weights than the second-level cache holds, which each block of rows reads again.
constexpr std::int64_t kManyBytes = 1 << 20;
/// Reading so many weights takes longer than a helper to begin.
constexpr std::int64_t kBytesWorthHelp = 128 << 10;

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
Mlp<T>::Mlp(NetworkSpec spec, const std::string& isa) : spec_(std::move(spec)), kernels_(kernel_table<T>(isa)) {
  check_spec(spec_);
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

template <typename T>
std::int64_t weight_bytes(const DenseLayer<T>& layer) {
  return layer.weights.size() * layer.weight_copies() * static_cast<std::int64_t>(sizeof(T));
}

/// One thread's buffers for a block of samples. Activations alternate between two buffers; each has a row of every
/// member for each sample.
template <typename T>
class InferenceBlock {
 public:
  InferenceBlock(const Mlp<T>& mlp, std::int64_t samples, std::int64_t input_columns)
      : mlp_(mlp), samples_(samples), input_columns_(input_columns), columns_(mlp.spec().features(), 1) {
    const NetworkSpec& spec = mlp.spec();
    const std::int64_t panel = mlp.kernels().panel;
    const std::int64_t rows = checked_product(samples, spec.members);
    std::int64_t widest = input_columns;
    for (const DenseLayer<T>& layer : mlp.layers()) widest = std::max({widest, layer.weights.rows, layer.weights.cols});
    widest = round_up(widest, panel);
    for (std::size_t& offset : offsets_) offset = arena_.template reserve<T>(checked_product(widest, rows));
    const bool has_blocks =
        std::any_of(spec.layers.begin(), spec.layers.end(), [](const LayerSpec& layer) { return layer.residual; });
    for (std::size_t& offset : kept_)
      offset = arena_.template reserve<T>(has_blocks ? checked_product(widest, rows) : 0);
    if (spec.has_input_stage()) {
      inputs_ = arena_.template reserve<T>(checked_product(round_up(spec.inputs_of(0), panel), samples));
      sample_columns_ = arena_.template reserve<T>(checked_product(spec.features(), samples));
      input_scratch_ = arena_.template reserve<T>(input_scratch_size(mlp.kernels(), mlp.input_groups(), 0));
    }
    member_scratch_ = arena_.template reserve<T>(member_scratch_size(spec.members, spec.outputs(), panel));
    loss_scratch_offset_ = arena_.template reserve<T>(loss_scratch_size(mlp.groups(), spec.outputs(), panel));
    arena_.allocate();
  }

  bool holds(std::int64_t samples, std::int64_t input_columns) const {
    return samples <= samples_ && input_columns <= input_columns_;
  }
  std::size_t bytes() const { return arena_.bytes(); }

  /// Returns false, and leaves the outputs, if samples are NaN or infinite. With several threads each computes some
  /// outputs of every layer.
  bool run(const SampleRows& samples, Range rows, const InferenceOutputs<T>& outputs, int threads = 1) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const NetworkSpec& spec = mlp_.spec();
    const std::int64_t count = rows.size() * spec.members;
    finite_ = true;
    LayerInput<T> values = spec.has_input_stage() ? staged_input(samples, rows) : plain_input(samples, rows);
    if (!finite_) return false;
    const std::size_t layers = spec.layers.size();
    for (std::size_t l = 0; l < layers; ++l) {
      const DenseLayer<T>& layer = mlp_.layer(l);
      const Panels<T> next = buffer(l + 1, count, layer.weights.cols);
      const std::int64_t parts = std::min<std::int64_t>(next.count(), kBlocksPerThread * threads);
      parallel_for(layer_threads(layer, threads), parts, [&](int, std::int64_t part) {
        const Range panels = even_share(next.count(), static_cast<int>(part), static_cast<int>(parts));
        dense_forward<T>(kernels, layer, values, {next}, {}, {0, count}, {0, values.values.cols}, panels);
        for (std::int64_t p = panels.begin; layer.scales_outputs() && p < panels.end; ++p) {
          batch_norm_infer(kernels, layer, spec.normalization_epsilon, next, {0, count}, p);
          dense_finish<T>(kernels, layer, {next}, {}, {0, count}, p);
        }
      });
      if (spec.finishes_rows(l)) finish_rows(l, next);
      values = {next};
      if (l + 1 == layers) break;
      if (!outputs.hidden.empty()) write_hidden(next, samples.count, rows, outputs.hidden[l]);
      if (spec.layers[l + 1].input_scales) scale_inputs(kernels, mlp_.layer(l + 1), next, next, {0, count});
    }
    if (spec.softmax_output) softmax_rows(values.values);
    if (spec.members > 1) values.values = mean_of_members(values.values, rows.size());
    write(values.values, rows, outputs);
    return true;
  }

 private:
  /// A layer with few weights takes less time than a helper to begin.
  static int layer_threads(const DenseLayer<T>& layer, int threads) {
    return weight_bytes(layer) < kBytesWorthHelp ? 1 : threads;
  }

  Panels<T> buffer(std::size_t activation, std::int64_t rows, std::int64_t cols) {
    return {arena_.template at<T>(offsets_[activation % 2]), rows, cols, mlp_.kernels().panel};
  }

  /// From the product of a layer to its output, through the ends of residual blocks and layer normalization.
  void finish_rows(std::size_t l, const Panels<T>& values) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const NetworkSpec& spec = mlp_.spec();
    const DenseLayer<T>& layer = mlp_.layer(l);
    const Range rows{0, values.rows};
    Panels<T> kept = values;  // a block ends before the next one of its buffer begins
    kept.data = arena_.template at<T>(kept_[l % kBlockLayers]);
    const BlockEnds<T> ends{spec.layers[l].residual ? kept : Panels<T>{}, spec.begins_block(l) ? kept : Panels<T>{}};
    for (std::int64_t p = 0; p < values.count(); ++p) residual_forward(kernels, layer, ends, values, {}, rows, p);
    if (layer.normalizes_rows()) layer_norm_forward<T>(kernels, layer, spec.normalization_epsilon, {}, values, rows);
    for (std::int64_t p = 0; p < values.count(); ++p) {
      dense_finish<T>(kernels, biased_by_shifts(layer), {values}, {}, rows, p);
    }
  }

  LayerInput<T> plain_input(const SampleRows& samples, Range rows) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const bool leaves_out = columns_.worth_marking(kernels, samples, rows.begin) && marks_columns(samples, rows);
    const InputColumns columns{leaves_out ? &columns_.nonzero(0) : nullptr, columns_.places(0)};
    LayerInput<T> input{buffer(0, rows.size(), mlp_.spec().features())};
    if (leaves_out) {
      input.values.cols = static_cast<std::int64_t>(columns.nonzero->size());
      input.weight_rows = columns.nonzero->data();
    }
    finite_ = gather_rows(kernels, mlp_.spec(), samples, nullptr, rows.begin, columns, input.values, {0, rows.size()});
    return input;
  }

  bool marks_columns(const SampleRows& samples, Range rows) {
    columns_.mark(mlp_.kernels(), samples, nullptr, rows, 0);
    return columns_.collect(samples, 0, 1);
  }

  LayerInput<T> staged_input(const SampleRows& samples, Range rows) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const NetworkSpec& spec = mlp_.spec();
    const Range own{0, rows.size()};
    const Panels<T> inputs{arena_.template at<T>(inputs_), rows.size(), spec.inputs_of(0), kernels.panel};
    if (spec.inputs.empty()) {
      finite_ = gather_rows(kernels, spec, samples, nullptr, rows.begin, {}, inputs, own);
    } else {
      const Panels<T> gathered = buffer(1, rows.size(), spec.features());
      finite_ = gather_rows(kernels, spec, samples, nullptr, rows.begin, {}, gathered, own);
      const SampleColumns<T> columns{arena_.template at<T>(sample_columns_), rows.size()};
      take_columns(kernels, mlp_.input_groups(), gathered, own, columns, 0);
      embed_rows(kernels, mlp_.input_groups(), columns, inputs, own, arena_.template at<T>(input_scratch_));
    }
    const Panels<T> scaled = buffer(0, rows.size() * spec.members, inputs.cols);
    scale_inputs(kernels, mlp_.layer(0), inputs, scaled, {0, scaled.rows});
    return {scaled};
  }

  /// The ensemble's outputs in the rows of the first member: outputs whose link is the mean of the members' links.
  Panels<T> mean_of_members(const Panels<T>& values, std::int64_t samples) {
    const KernelTable<T>& kernels = mlp_.kernels();
    Panels<T> mean = values;
    mean.rows = samples;
    mean.data = arena_.template at<T>(offsets_[mlp_.spec().layers.size() % 2 == 0 ? 1 : 0]);
    average_members(kernels, mlp_.groups(), mlp_.spec().members, values, mean, arena_.template at<T>(member_scratch_));
    return mean;
  }

  /// Rows of `values`, of all members, become rows `rows` of each member's (all, units).
  void write_hidden(const Panels<T>& values, std::int64_t all, Range rows, T* hidden) {
    for_members(mlp_.spec().members, values.rows, {0, values.rows}, [&](std::int64_t member, Range part) {
      unpack(values, part, hidden + (member * all + rows.begin) * values.cols);
    });
  }

  void softmax_rows(const Panels<T>& values) {
    mlp_.kernels().softmax(values.rows, values.cols, values.data, values.stride());
  }

  void write(const Panels<T>& values, Range rows, const InferenceOutputs<T>& outputs) {
    const KernelTable<T>& kernels = mlp_.kernels();
    const std::int64_t count = rows.size();
    if (outputs.row_loss != nullptr) {
      const MeasuredRows<T> measured{.rows = {0, count},
                                     .first_sample = rows.begin,
                                     .sample_weights = outputs.sample_weights,
                                     .row_loss = outputs.row_loss + rows.begin,
                                     .correct = outputs.correct + rows.begin};
      output_loss(kernels, mlp_.groups(), outputs.targets, measured, values, {},
                  arena_.template at<T>(loss_scratch_offset_));
    }
    if (outputs.predicted != nullptr) {
      kernels.argmax(count, values.cols, values.data, values.stride(), outputs.predicted + rows.begin);
    }
    if (outputs.values == nullptr) return;
    if (outputs.link == Link::softmax) softmax_rows(values);
    if (outputs.link == Link::sigmoid) apply(Elementwise::sigmoid, values);
    if (outputs.link == Link::exp) apply(Elementwise::exp, values);
    unpack(values, {0, count}, outputs.values + rows.begin * values.cols);
  }

  void apply(Elementwise function, const Panels<T>& values) {
    mlp_.kernels().elementwise[static_cast<int>(function)](values.size(), values.data, values.data);
  }

  const Mlp<T>& mlp_;
  const std::int64_t samples_;
  const std::int64_t input_columns_;
  bool finite_ = true;  // the samples of this run
  ZeroColumns columns_;
  Arena arena_;
  std::size_t offsets_[2];
  std::size_t kept_[kBlockLayers];
  std::size_t inputs_ = 0;
  std::size_t sample_columns_ = 0;
  std::size_t input_scratch_ = 0;
  std::size_t member_scratch_ = 0;
  std::size_t loss_scratch_offset_ = 0;
};

template <typename T>
SpareBlocks<T>::SpareBlocks() = default;

template <typename T>
SpareBlocks<T>::~SpareBlocks() {
  for (std::atomic<InferenceBlock<T>*>& block : blocks_) delete block.load();
}

template <typename T>
std::unique_ptr<InferenceBlock<T>> SpareBlocks<T>::take(const Mlp<T>& mlp, std::int64_t samples, std::int64_t columns) {
  for (std::atomic<InferenceBlock<T>*>& place : blocks_) {
    std::unique_ptr<InferenceBlock<T>> block(place.exchange(nullptr));
    if (block != nullptr && block->holds(samples, columns)) return block;
  }
  return std::make_unique<InferenceBlock<T>>(mlp, samples, columns);
}

template <typename T>
void SpareBlocks<T>::leave(std::unique_ptr<InferenceBlock<T>> block) {
  constexpr std::size_t kMostBytes = std::size_t{16} << 20;
  if (block->bytes() > kMostBytes) return;
  for (std::atomic<InferenceBlock<T>*>& place : blocks_) {
    InferenceBlock<T>* empty = nullptr;
    if (place.compare_exchange_strong(empty, block.get())) {
      block.release();
      return;
    }
  }
}

template <typename T>
InferenceStatus Mlp<T>::infer(const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
                              const KeepGoing& keep_going) const {
  std::int64_t weights = 0;
  for (const DenseLayer<T>& layer : layers_) weights += weight_bytes(layer);
  const bool few_rows = samples.count <= (weights < kManyBytes ? kFewestSamples : kInferenceRows);
  // Few rows take as long as the weights take to read, which threads divide by outputs.
  const int readers = threads > 0 ? threads : weights < 2 * kBytesWorthHelp ? 1 : available_threads();
  threads =
      few_rows ? 1 : choose_threads(threads, forward_flops(spec_) * static_cast<double>(samples.count), samples.count);
  const std::int64_t row_bytes = spec_.features() * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t rows = weights > kInputBytes ? kInferenceRows : std::min(kInferenceRows, kInputBytes / row_bytes);
  const std::int64_t most = std::max<std::int64_t>(rows / spec_.members, kFewestSamples);
  // With several blocks for each thread, one that comes late or is stopped by the system holds up few rows.
  const std::int64_t even = ceil_div(samples.count, threads == 1 ? 1 : kBlocksPerThread * threads);
  const std::int64_t block = std::min({most, std::max(even, kFewestSamples), samples.count});
  const std::int64_t blocks = ceil_div(samples.count, block);
  std::vector<std::unique_ptr<InferenceBlock<T>>> buffers;
  const std::int64_t columns = most_nonzero_columns(spec_, samples, block);
  for (int t = 0; t < threads; ++t) buffers.push_back(spare_blocks_.take(*this, block, columns));
  std::atomic<InferenceStatus> status{InferenceStatus::completed};
  const auto goes_on = [&] { return status.load(std::memory_order_relaxed) == InferenceStatus::completed; };
  parallel_for(threads, blocks, [&](int worker, std::int64_t b) {
    if (!goes_on()) return;
    const Range rows{b * block, std::min((b + 1) * block, samples.count)};
    const bool finite = buffers[static_cast<std::size_t>(worker)]->run(samples, rows, outputs, few_rows ? readers : 1);
    if (!finite) status.store(InferenceStatus::not_finite);
    if (worker == 0 && !keep_going()) status.store(InferenceStatus::stopped);
  });
  for (std::unique_ptr<InferenceBlock<T>>& buffer : buffers) spare_blocks_.leave(std::move(buffer));
  return status.load();
}

template class SpareBlocks<float>;
template class SpareBlocks<double>;
template class Mlp<float>;
template class Mlp<double>;

}  // namespace fastmlp

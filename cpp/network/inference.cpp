#include "network/inference.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/arithmetic.hpp"
#include "base/check.hpp"
#include "base/parallel_for.hpp"
#include "base/team.hpp"
#include "network/input.hpp"
#include "network/mlp.hpp"
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

template <typename T>
std::int64_t weight_bytes(const DenseLayer<T>& layer) {
  return layer.weights.size() * layer.weight_copies() * static_cast<std::int64_t>(sizeof(T));
}

}  // namespace

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
  bool run(const SampleRows& samples, Range rows, const InferenceOutputs<T>& outputs, int threads) {
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
        const WithoutSubnormals scope;
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

namespace {

/// How the samples of a call are divided. Few rows take as long as the weights take to read, so threads divide the
/// outputs of each layer; other rows are divided into blocks.
struct InferencePlan {
  int threads = 1;         // that take blocks of rows
  int output_threads = 1;  // that take outputs of a block
  std::int64_t block = 1;  // rows
  std::int64_t blocks = 1;
};

template <typename T>
InferencePlan plan_inference(const Mlp<T>& mlp, std::int64_t samples, int threads) {
  const NetworkSpec& spec = mlp.spec();
  std::int64_t weights = 0;
  for (const DenseLayer<T>& layer : mlp.layers()) weights += weight_bytes(layer);
  InferencePlan plan;
  if (samples <= (weights < kManyBytes ? kFewestSamples : kInferenceRows)) {
    plan.output_threads = threads > 0 ? threads : weights < 2 * kBytesWorthHelp ? 1 : available_threads();
  } else {
    plan.threads = choose_threads(threads, forward_flops(spec) * static_cast<double>(samples), samples);
  }
  const std::int64_t row_bytes = spec.features() * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t rows = weights > kInputBytes ? kInferenceRows : std::min(kInferenceRows, kInputBytes / row_bytes);
  const std::int64_t most = std::max(rows / spec.members, kFewestSamples);
  // With several blocks for each thread, one that comes late or is stopped by the system holds up few rows.
  const std::int64_t even = ceil_div(samples, plan.threads == 1 ? 1 : kBlocksPerThread * plan.threads);
  plan.block = std::min({most, std::max(even, kFewestSamples), samples});
  plan.blocks = ceil_div(samples, plan.block);
  return plan;
}

}  // namespace

template <typename T>
InferenceStatus infer(const Mlp<T>& mlp, const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
                      const KeepGoing& keep_going) {
  const InferencePlan plan = plan_inference(mlp, samples.count, threads);
  SpareBlocks<T>& spare = mlp.spare_blocks();
  std::vector<std::unique_ptr<InferenceBlock<T>>> buffers;
  const std::int64_t columns = most_nonzero_columns(mlp.spec(), samples, plan.block);
  for (int t = 0; t < plan.threads; ++t) buffers.push_back(spare.take(mlp, plan.block, columns));
  std::atomic<InferenceStatus> status{InferenceStatus::completed};
  parallel_for(plan.threads, plan.blocks, [&](int worker, std::int64_t b) {
    if (status.load(std::memory_order_relaxed) != InferenceStatus::completed) return;
    const WithoutSubnormals scope;
    const Range rows{b * plan.block, std::min((b + 1) * plan.block, samples.count)};
    InferenceBlock<T>& own = *buffers[static_cast<std::size_t>(worker)];
    if (!own.run(samples, rows, outputs, plan.output_threads)) status.store(InferenceStatus::not_finite);
    if (worker == 0 && !keep_going()) status.store(InferenceStatus::stopped);
  });
  for (std::unique_ptr<InferenceBlock<T>>& buffer : buffers) spare.leave(std::move(buffer));
  return status.load();
}

#define FASTMLP_INSTANTIATE(T)   \
  template class SpareBlocks<T>; \
  template InferenceStatus infer(const Mlp<T>&, const SampleRows&, const InferenceOutputs<T>&, int, const KeepGoing&);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp

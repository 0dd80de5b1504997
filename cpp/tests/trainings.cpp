// Trains small networks of every kind, without Python.
//
//   trainings                   runs all configurations; prints the name of each and the kinds of its steps
//   trainings digests           prints the name of each and the digest of its results, the same on every platform
//   trainings NAME              runs one configuration
//   trainings NAME KIND NUMBER  runs it without one barrier of its steps of this kind, "scanning" or "plain"
//
// Without a barrier ThreadSanitizer has to report a race. Exit status 3: there is no such barrier.
//
// tests/support/race_driver.py builds and runs it under ThreadSanitizer, tests/support/platforms.py for other systems.
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/parallel_for.hpp"
#include "base/philox.hpp"
#include "network/inference.hpp"
#include "network/initializer.hpp"
#include "network/step.hpp"
#include "network/trainer.hpp"

namespace {

using namespace fastmlp;

constexpr int kThreads = 3;
constexpr std::int64_t kBatch = 18;
constexpr std::int64_t kSamples = 9 * kBatch + 1;  // the last batch has fewer rows than the team has threads
constexpr int kEpochs = 2;
constexpr std::uint64_t kAllByOutputs = ~std::uint64_t{0};
const std::vector<std::int64_t> kBlockSizes{70, 65, 100, 65, 100, 65, 33};

enum class Input { dense, zero_columns, sparse };

struct Configuration {
  const char* name;
  std::vector<std::int64_t> sizes{70, 100, 40, 33};
  PlanOverrides plan{};
  Input input = Input::dense;
  bool gradients = false;  // computes gradients, dx too, and updates nothing
  Optimizer optimizer = Optimizer::momentum;
  Shards shards{};  // of the last batch one or more have no rows
  std::function<void(NetworkSpec&)> network = [](NetworkSpec&) {};
  std::function<void(EpochRequest<float>&)> training = [](EpochRequest<float>&) {};
};

PlanOverrides by_outputs(std::uint64_t layers, bool own_input = false) {
  PlanOverrides plan;
  plan.split_by_outputs = layers;
  plan.own_input = own_input;
  return plan;
}

void add_batch_norm(NetworkSpec& spec) {
  for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) spec.layers[l].batch_norm = true;
}

void add_layer_norm(NetworkSpec& spec) {
  for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) spec.layers[l].layer_norm = true;
}

/// Of kBlockSizes: a block of layers 1 and 2 that drops its part of the sum, and blocks that overlap above it.
void add_residual(NetworkSpec& spec) {
  for (std::size_t l = 2; l + 1 < spec.layers.size(); ++l) spec.layers[l].residual = true;
  spec.layers[2].dropout = 0.3;
}

/// The same with layer normalization where blocks begin and end.
void add_normalized_blocks(NetworkSpec& spec) {
  add_residual(spec);
  for (std::size_t l = 0; l + 1 < spec.layers.size(); l += 2) spec.layers[l].layer_norm = true;
}

/// Embeddings of numbers, codes of categories, and numbers as they are.
void add_inputs(NetworkSpec& spec) {
  spec.inputs = {{.columns = 5, .clip = 3, .basis = Basis::cosine, .bases = 8, .outputs = 3, .keeps_value = true},
                 {.columns = 2, .basis = Basis::periodic, .bases = 4},
                 {.kind = InputKind::one_hot, .edges = {0, 1, 0, 1, 0, 1}, .levels = 3},
                 {.kind = InputKind::category, .outputs = 4, .levels = 2},
                 {.columns = 1, .basis = Basis::piecewise_linear, .bases = 2, .outputs = 3, .edges = {-1, 0, 1}}};
  std::int64_t columns = 0;
  for (InputGroup& group : spec.inputs) {
    group.deviation = group.has_frequencies() ? 0.5 : 0;
    columns += group.columns;
  }
  spec.inputs.push_back({.columns = spec.features() - columns});
}

void add_scales(NetworkSpec& spec) { spec.layers.front().input_scales = true; }

void add_mixes(NetworkSpec& spec) {
  for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) spec.layers[l].mixes = true;
}

void add_table(NetworkSpec& spec) {
  add_inputs(spec);
  add_scales(spec);
  add_mixes(spec);
}

constexpr std::int64_t kMembers = 4;

/// All hidden layers with scales of each member before and after shared weights.
void add_tabm(NetworkSpec& spec) {
  spec.members = kMembers;
  for (LayerSpec& layer : spec.layers) layer.input_scales = layer.output_scales = layer.own_vectors = true;
  spec.layers.back() = {Activation::identity};
  spec.layers.back().own_weights = spec.layers.back().own_vectors = true;
}

/// One scale for each input and member, shared hidden layers.
void add_tabm_mini(NetworkSpec& spec) {
  spec.members = kMembers;
  spec.layers.front().input_scales = true;
  spec.layers.back().own_weights = spec.layers.back().own_vectors = true;
}

void add_packed(NetworkSpec& spec) {
  spec.members = kMembers;
  for (LayerSpec& layer : spec.layers) layer.own_weights = layer.own_vectors = true;
}

void round_operands(NetworkSpec& spec) { spec.bfloat16 = true; }

void draw_own_batches(NetworkSpec& spec) { spec.own_batches = true; }

void add_table_of_own_batches(NetworkSpec& spec) {
  add_table(spec);
  add_packed(spec);
  draw_own_batches(spec);
}

/// Both, one after the other.
std::function<void(NetworkSpec&)> with(void (*first)(NetworkSpec&), void (*second)(NetworkSpec&)) {
  return [=](NetworkSpec& spec) {
    first(spec);
    second(spec);
  };
}

std::vector<Configuration> configurations() {
  const auto clip_norm = [](EpochRequest<float>& request) { request.settings.clip_norm = 0.1; };
  const auto after_update = [](EpochRequest<float>& request) {
    request.settings.max_norm = 0.5;
    request.settings.average_decay = 0.9;
  };
  const auto freeze = [](EpochRequest<float>& request) { request.trainable = {false, true, true}; };
  const auto freeze_middle = [](EpochRequest<float>& request) { request.trainable = {true, false, true}; };
  const auto user_defined = [](NetworkSpec& spec) { spec.losses[0].loss = Loss::user_defined; };
  const auto softmax = [](NetworkSpec& spec) {
    spec.losses[0].loss = Loss::mse;
    spec.softmax_output = true;
  };
  const auto groups = [](NetworkSpec& spec) {
    spec.losses = {{Loss::mse, 20, 1, 0, {0}, {1}}, {Loss::mae, 13, 1, 0, {0}, {1}}};
  };
  const auto disturbed = [](NetworkSpec& spec) {
    spec.input_dropout = 0.2;
    spec.input_noise = 0.1;
    for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) {
      spec.layers[l] = {Activation::gelu, 0, false, 0.3};
    }
  };
  const auto penalty = [](EpochRequest<float>& request) {
    request.with_penalty = true;
    request.settings.l2 = 0.01;
  };
  std::vector<Configuration> all{
      {.name = "rows", .plan = by_outputs(0)},
      {.name = "outputs", .plan = by_outputs(kAllByOutputs)},
      {.name = "outputs-own-input", .plan = by_outputs(kAllByOutputs, true)},
      {.name = "rows-own-input", .plan = by_outputs(0, true)},
      {.name = "last-by-outputs", .plan = by_outputs(4)},
      {.name = "first-by-outputs", .plan = by_outputs(1, true)},
      {.name = "middle-by-outputs", .plan = by_outputs(2)},
      {.name = "ends-by-outputs", .plan = by_outputs(5)},
      {.name = "single-layer", .sizes = {70, 40}, .plan = by_outputs(0)},
      {.name = "single-layer-outputs", .sizes = {70, 40}, .plan = by_outputs(1)},
      {.name = "single-layer-own-input", .sizes = {70, 40}, .plan = by_outputs(1, true)},
      {.name = "wide-output", .sizes = {30, 20, 200}, .plan = by_outputs(2)},
      {.name = "batch-norm", .network = add_batch_norm},
      {.name = "batch-norm-own-input", .plan = by_outputs(0, true), .network = add_batch_norm},
      {.name = "batch-norm-frozen", .network = add_batch_norm, .training = freeze},
      {.name = "batch-norm-clipped", .network = add_batch_norm, .training = clip_norm},
      {.name = "batch-norm-averages", .network = add_batch_norm, .training = after_update},
      {.name = "frozen", .plan = by_outputs(0), .training = freeze},
      {.name = "frozen-outputs", .plan = by_outputs(kAllByOutputs), .training = freeze},
      {.name = "frozen-middle", .plan = by_outputs(5), .training = freeze_middle},
      {.name = "clip-norm", .plan = by_outputs(0), .training = clip_norm},
      {.name = "clip-norm-outputs", .plan = by_outputs(kAllByOutputs, true), .training = clip_norm},
      {.name = "clip-value",
       .plan = by_outputs(2),
       .training = [](EpochRequest<float>& request) { request.settings.clip_value = 0.01; }},
      {.name = "after-update", .plan = by_outputs(0), .training = after_update},
      {.name = "after-update-outputs", .plan = by_outputs(kAllByOutputs, true), .training = after_update},
      {.name = "clip-and-after-update",
       .plan = by_outputs(1),
       .training =
           [=](EpochRequest<float>& request) {
             clip_norm(request);
             after_update(request);
           }},
      {.name = "user-loss", .plan = by_outputs(0), .network = user_defined},
      {.name = "user-loss-outputs", .plan = by_outputs(4), .network = user_defined},
      {.name = "softmax-output", .plan = by_outputs(4), .network = softmax},
      {.name = "groups", .plan = by_outputs(4), .network = groups},
      {.name = "disturbed", .plan = by_outputs(0), .optimizer = Optimizer::adam, .network = disturbed},
      {.name = "disturbed-outputs", .plan = by_outputs(3), .optimizer = Optimizer::adam, .network = disturbed},
      {.name = "zero-columns", .plan = by_outputs(0), .input = Input::zero_columns},
      {.name = "zero-columns-outputs", .plan = by_outputs(1), .input = Input::zero_columns},
      {.name = "zero-columns-own-input", .plan = by_outputs(1, true), .input = Input::zero_columns},
      {.name = "zero-columns-clipped", .plan = by_outputs(1), .input = Input::zero_columns, .training = clip_norm},
      {.name = "sparse", .plan = by_outputs(0), .input = Input::sparse},
      {.name = "sparse-outputs", .plan = by_outputs(kAllByOutputs, true), .input = Input::sparse},
      {.name = "penalty", .plan = by_outputs(0), .training = penalty},
      {.name = "penalty-outputs", .plan = by_outputs(kAllByOutputs, true), .training = penalty},
      {.name = "gradients", .plan = by_outputs(0), .gradients = true},
      {.name = "gradients-outputs", .plan = by_outputs(kAllByOutputs, true), .gradients = true},
      {.name = "gradients-batch-norm", .gradients = true, .network = add_batch_norm},
      {.name = "inputs", .plan = by_outputs(0), .network = add_inputs},
      {.name = "inputs-outputs", .plan = by_outputs(kAllByOutputs), .network = add_inputs},
      {.name = "inputs-clipped", .plan = by_outputs(1), .network = add_inputs, .training = clip_norm},
      {.name = "inputs-frozen", .plan = by_outputs(0), .network = add_inputs, .training = freeze},
      {.name = "inputs-gradients", .plan = by_outputs(0), .gradients = true, .network = add_inputs},
      {.name = "scales", .plan = by_outputs(0), .network = add_scales},
      {.name = "scales-outputs", .plan = by_outputs(kAllByOutputs), .network = add_scales},
      {.name = "mixes", .plan = by_outputs(0), .network = add_mixes},
      {.name = "mixes-outputs", .plan = by_outputs(kAllByOutputs, true), .network = add_mixes},
      {.name = "mixes-batch-norm", .network = with(add_batch_norm, add_mixes)},
      {.name = "table", .plan = by_outputs(0), .optimizer = Optimizer::adam, .network = add_table},
      {.name = "table-clipped", .plan = by_outputs(kAllByOutputs), .network = add_table, .training = clip_norm},
      {.name = "table-averages", .plan = by_outputs(0), .network = add_table, .training = after_update},
      {.name = "tabm", .plan = by_outputs(0), .network = add_tabm},
      {.name = "tabm-outputs", .plan = by_outputs(kAllByOutputs), .network = add_tabm},
      {.name = "tabm-clipped", .plan = by_outputs(0), .network = add_tabm, .training = clip_norm},
      {.name = "tabm-averages", .network = add_tabm, .training = after_update},
      {.name = "tabm-frozen", .plan = by_outputs(0), .network = add_tabm, .training = freeze},
      {.name = "tabm-frozen-middle", .network = add_tabm, .training = freeze_middle},
      {.name = "tabm-gradients", .plan = by_outputs(0), .gradients = true, .network = add_tabm},
      {.name = "tabm-batch-norm", .network = with(add_batch_norm, add_tabm)},
      {.name = "tabm-table", .plan = by_outputs(0), .network = with(add_table, add_tabm), .training = clip_norm},
      {.name = "tabm-own-batches", .plan = by_outputs(0), .network = with(add_tabm, draw_own_batches)},
      {.name = "tabm-mini", .plan = by_outputs(0), .network = add_tabm_mini},
      {.name = "tabm-mini-outputs", .plan = by_outputs(kAllByOutputs), .network = add_tabm_mini},
      {.name = "tabm-mini-clipped", .plan = by_outputs(1), .network = add_tabm_mini, .training = clip_norm},
      {.name = "tabm-mini-table", .plan = by_outputs(0), .network = with(add_table, add_tabm_mini)},
      {.name = "packed", .plan = by_outputs(0), .network = add_packed},
      {.name = "packed-outputs", .plan = by_outputs(kAllByOutputs), .network = add_packed},
      {.name = "packed-clipped", .plan = by_outputs(0), .network = add_packed, .training = clip_norm},
      {.name = "packed-batch-norm", .network = with(add_batch_norm, add_packed)},
      {.name = "packed-table", .plan = by_outputs(0), .network = with(add_table, add_packed)},
      {.name = "packed-table-own-batches", .plan = by_outputs(0), .network = add_table_of_own_batches},
      {.name = "layer-norm", .plan = by_outputs(kAllByOutputs, true), .network = add_layer_norm},
      {.name = "layer-norm-clipped", .plan = by_outputs(4), .network = add_layer_norm, .training = clip_norm},
      {.name = "layer-norm-frozen", .network = add_layer_norm, .training = freeze},
      {.name = "layer-norm-table", .plan = by_outputs(0), .network = with(add_table, add_layer_norm)},
      {.name = "residual", .sizes = kBlockSizes, .plan = by_outputs(0), .network = add_residual},
      {.name = "residual-outputs", .sizes = kBlockSizes, .plan = by_outputs(kAllByOutputs), .network = add_residual},
      {.name = "residual-some-outputs", .sizes = kBlockSizes, .plan = by_outputs(5), .network = add_residual},
      {.name = "residual-normalized", .sizes = kBlockSizes, .plan = by_outputs(0), .network = add_normalized_blocks},
      {.name = "residual-mixed",
       .sizes = kBlockSizes,
       .plan = by_outputs(kAllByOutputs),
       .network = add_normalized_blocks,
       .training = after_update},
      {.name = "residual-gradients",
       .sizes = kBlockSizes,
       .plan = by_outputs(2),
       .gradients = true,
       .network = add_normalized_blocks},
      {.name = "shards", .plan = by_outputs(0), .shards = {5, {0, 5}}},
      {.name = "shards-outputs", .plan = by_outputs(kAllByOutputs, true), .shards = {3, {0, 3}}},
      {.name = "shards-some-outputs", .plan = by_outputs(5), .shards = {2, {0, 2}}, .training = after_update},
      {.name = "shards-exchanged", .plan = by_outputs(4), .shards = {7, {1, 4}}},
      {.name = "shards-exchanged-clipped", .plan = by_outputs(1), .shards = {4, {1, 3}}, .training = clip_norm},
      {.name = "shards-zero-columns",
       .plan = by_outputs(1, true),
       .input = Input::zero_columns,
       .shards = {3, {0, 3}},
       .training = penalty},
      {.name = "shards-table", .plan = by_outputs(0), .shards = {3, {0, 3}}, .network = add_table_of_own_batches},
      {.name = "bfloat16", .plan = by_outputs(0), .network = round_operands},
      {.name = "bfloat16-outputs", .plan = by_outputs(kAllByOutputs), .network = round_operands},
      {.name = "bfloat16-own-input", .plan = by_outputs(5, true), .network = round_operands},
      {.name = "bfloat16-clipped", .plan = by_outputs(4), .network = round_operands, .training = clip_norm},
      {.name = "bfloat16-after-update",
       .plan = by_outputs(3),
       .optimizer = Optimizer::adam,
       .network = round_operands,
       .training = after_update},
      {.name = "bfloat16-gradients", .plan = by_outputs(2), .gradients = true, .network = round_operands},
      {.name = "bfloat16-sparse", .plan = by_outputs(1), .input = Input::sparse, .network = round_operands},
      {.name = "bfloat16-batch-norm", .network = with(add_batch_norm, round_operands)},
      {.name = "bfloat16-table", .plan = by_outputs(0), .network = with(add_table, round_operands)},
      {.name = "bfloat16-residual",
       .sizes = kBlockSizes,
       .plan = by_outputs(kAllByOutputs),
       .network = with(add_normalized_blocks, round_operands)},
      {.name = "bfloat16-shards", .plan = by_outputs(5), .shards = {3, {0, 3}}, .network = round_operands},
      {.name = "shards-tabm", .plan = by_outputs(0), .shards = {2, {0, 2}}, .network = add_tabm},
  };
  return all;
}

/// A number in [-1, 1) that depends on the place alone.
float number(std::uint32_t purpose, std::int64_t place) {
  const auto bits = philox4x32({static_cast<std::uint32_t>(place), purpose, 0, 0}, {7, 7})[0];
  return static_cast<float>(bits) * 0x1p-31F - 1;
}

struct Samples {
  std::vector<float> values;
  std::vector<std::int32_t> columns;
  std::vector<std::int64_t> starts;
  std::vector<float> targets;
};

Samples make_samples(const Configuration& configuration) {
  const std::int64_t features = configuration.sizes.front();
  Samples samples;
  samples.starts.push_back(0);
  for (std::int64_t row = 0; row < kSamples; ++row) {
    for (std::int64_t k = 0; k < features; ++k) {
      const float value = number(1, row * features + k);
      const bool dense = configuration.input == Input::dense;
      if (configuration.input == Input::sparse) {
        if (value < 0.8F) continue;
        samples.columns.push_back(static_cast<std::int32_t>(k));
      }
      samples.values.push_back(dense || k % 3 != 0 ? value : 0);
    }
    samples.starts.push_back(static_cast<std::int64_t>(samples.values.size()));
  }
  for (std::int64_t i = 0; i < kSamples * configuration.sizes.back(); ++i) samples.targets.push_back(number(2, i));
  return samples;
}

NetworkSpec make_spec(const Configuration& configuration) {
  NetworkSpec spec;
  spec.layer_sizes = configuration.sizes;
  spec.layers.resize(configuration.sizes.size() - 1, {Activation::tanh});
  spec.layers.back() = {Activation::identity};
  spec.losses = {{Loss::mse, configuration.sizes.back(), 1, 0, {0}, {1}}};
  configuration.network(spec);
  return spec;
}

bool mean_square(const Panels<float>& outputs, const Panels<float>& doutputs, float& loss) {
  loss = 0;
  for (std::int64_t p = 0; p < outputs.count(); ++p) {
    for (std::int64_t i = 0; i < outputs.stride(); ++i) {
      const float value = outputs.at(p)[i];
      doutputs.at(p)[i] = i % outputs.panel < outputs.width(p) ? value / static_cast<float>(outputs.rows) : 0;
      loss += value * value;
    }
  }
  return true;
}

EpochRequest<float> make_request(const Configuration& configuration, const NetworkSpec& spec, const Samples& samples) {
  EpochRequest<float> request;
  request.samples.data = samples.values.data();
  request.samples.count = kSamples;
  request.samples.row_bytes = spec.features() * static_cast<std::int64_t>(sizeof(float));
  if (configuration.input == Input::sparse) {
    request.samples.columns = samples.columns.data();
    request.samples.row_starts = samples.starts.data();
  }
  const float* targets = samples.targets.data();
  for (const LossSpec& loss : spec.losses) {
    request.targets.push_back({nullptr, targets});
    targets += kSamples * loss.outputs;
  }
  if (spec.losses[0].loss == Loss::user_defined) {
    request.user_loss = [](const Panels<float>& outputs, const std::int64_t*, std::int64_t,
                           const Panels<float>& doutputs, float& loss) { return mean_square(outputs, doutputs, loss); };
  }
  if (configuration.shards.exchanges()) {
    // As if the other processes had the same.
    request.exchange = [](ShardExchange<float>& exchange) {
      for (std::int64_t i = 0; i < exchange.sums * exchange.elements; ++i) exchange.gradients[i] *= 2;
      return true;
    };
  }
  request.settings.learning_rate = 0.01;
  request.settings.momentum = 0.9;
  request.settings.beta1 = 0.9;
  request.settings.beta2 = 0.99;
  request.settings.epsilon = 1e-8;
  configuration.training(request);
  return request;
}

/// Predicts on helping threads, for two callers at once.
void predict(const Mlp<float>& mlp, const SampleRows& samples) {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&] {
      std::vector<float> values(static_cast<std::size_t>(samples.count * mlp.spec().outputs()));
      InferenceOutputs<float> outputs;
      outputs.values = values.data();
      for (int call = 0; call < 3; ++call) infer(mlp, samples, outputs, kThreads, [] { return true; });
    });
  }
  for (std::thread& caller : callers) caller.join();
}

/// Mixes the bits of all arrays, or of those that are trained, into a digest (FNV-1a, by words of 32 bits).
void mix(const Mlp<float>& mlp, const float* state, bool trained_only, std::uint64_t& digest) {
  for (const ParameterArray<float>& array : mlp.arrays()) {
    if (trained_only && !array.is_trained()) continue;
    std::int64_t count = 1;
    for (const std::int64_t size : array.shape) count *= size;
    std::vector<float> values(static_cast<std::size_t>(count));
    mlp.get(array, state, values.data());
    for (const float value : values) {
      std::uint32_t word;
      std::memcpy(&word, &value, sizeof word);
      digest = (digest ^ word) * 0x100000001b3;
    }
  }
}

/// Runs all steps of a configuration, then predictions. Returns the digest of parameters and gradients.
std::uint64_t run(const Configuration& configuration) {
  override_plans(configuration.plan);
  const NetworkSpec spec = make_spec(configuration);
  const Samples samples = make_samples(configuration);
  Mlp<float> mlp(spec, "");
  initialize(mlp, Initializer::glorot_uniform, 0, 1);
  std::vector<float> gradients(static_cast<std::size_t>(mlp.parameter_elements()));
  Trainer<float> trainer(mlp, kBatch, configuration.optimizer, kThreads,
                         configuration.gradients ? gradients.data() : nullptr, configuration.shards);
  EpochRequest<float> request = make_request(configuration, spec, samples);
  request.differentiates_input = configuration.gradients;
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    request.epoch = epoch;
    if (trainer.run_epoch(request).status != RunStatus::completed) std::printf("%s: diverged\n", configuration.name);
  }
  predict(mlp, request.samples);
  std::uint64_t digest = 0xcbf29ce484222325;
  mix(mlp, mlp.parameters(), false, digest);
  if (configuration.gradients) mix(mlp, gradients.data(), true, digest);
  return digest;
}

/// Steps scan columns at first, unless the input is disturbed or embedded; if no column is zero, plain steps follow.
const char* kinds_of_steps(const Configuration& configuration) {
  const NetworkSpec spec = make_spec(configuration);
  if (spec.disturbs_input() || spec.has_input_stage() || spec.bfloat16) return "plain";
  return configuration.input == Input::dense ? "scanning plain" : "scanning";
}

/// Whether a forked child that computes nothing exits normally after the parent has run a team.
bool forked_child_exits() {
#ifdef _WIN32
  return true;
#else
  std::fflush(stdout);  // or the child prints it again
  const pid_t child = fork();
  if (child == 0) std::exit(0);
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
#endif
}

}  // namespace

int main(int argc, char** argv) {
  install_fork_handler();
  install_parallel_for_fork_handler();
  const bool digests = argc == 2 && std::strcmp(argv[1], "digests") == 0;
  if (argc > 3) drop_barrier({std::strcmp(argv[2], "scanning") == 0, std::atoi(argv[3])});
  for (const Configuration& configuration : configurations()) {
    if (argc > 1 && !digests && std::strcmp(argv[1], configuration.name) != 0) continue;
    const std::uint64_t digest = run(configuration);
    if (digests) {
      std::printf("%s %016llx\n", configuration.name, static_cast<unsigned long long>(digest));
    } else {
      std::printf("%s %s\n", configuration.name, kinds_of_steps(configuration));
    }
  }
  if (argc == 1 && !forked_child_exits()) return 1;
  constexpr int kNoSuchBarrier = 3;
  return argc > 3 && !barrier_was_dropped() ? kNoSuchBarrier : 0;
}

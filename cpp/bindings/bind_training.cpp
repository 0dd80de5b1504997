// _core.Run32 / Run64: a training run of a network. _core.Gradient32 / Gradient64: loss and gradient of a network.
#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <optional>

#include "base/arithmetic.hpp"
#include "bindings/interrupts.hpp"
#include "bindings/named_args.hpp"
#include "bindings/network.hpp"
#include "bindings/register.hpp"
#include "bindings/sample_args.hpp"
#include "network/step.hpp"
#include "network/trainer.hpp"
#include "ops/pack.hpp"

namespace fastmlp::bindings {
namespace {

const char* status_name(RunStatus status) {
  switch (status) {
    case RunStatus::completed:
      return "completed";
    case RunStatus::interrupted:
      return "interrupted";
    case RunStatus::diverged:
      return "diverged";
  }
  return "";
}

/// A training run, with its memory and its optimizer's state.
template <typename T>
struct Run {
  std::shared_ptr<Network<T>> network;
  Trainer<T> trainer;
  std::mutex averages_use;  // of the averages, which a thread may move while others only read the network

  Run(std::shared_ptr<Network<T>> owner, std::int64_t batch_size, const std::string& optimizer, int threads,
      std::int64_t shards, std::int64_t first_shard, std::int64_t last_shard)
      : network(std::move(owner)),
        trainer(network->mlp, batch_size, static_cast<Optimizer>(find_name(kOptimizerNames, optimizer, "optimizer")),
                threads, nullptr, {shards, {first_shard, last_shard < 0 ? shards : last_shard}}) {}
};

py::tuple split_names(const Plan& plan) {
  py::list names;
  for (const Split split : plan.splits) names.append(split == Split::outputs ? "outputs" : "rows");
  return py::tuple(names);
}

/// Returns (threads, splits, steps, seconds per step) of the plans that a run has taken so far.
template <typename T>
py::tuple tried_plans(const RunState<T>& state) {
  py::list tried;
  for (std::size_t i = 0; i < state.plans.size(); ++i) {
    const PlanTimes& times = state.trials.times()[i];
    if (times.steps == 0) continue;
    tried.append(
        py::make_tuple(state.plans[i].threads, split_names(state.plans[i]), times.steps, times.seconds_per_step));
  }
  return py::tuple(tried);
}

/// While a thread trains, which writes the times: the plan with which the training began, and no times.
template <typename T>
py::dict plan_of(Run<T>& run) {
  const RunState<T>& state = run.trainer.state();
  const std::shared_lock lock(run.network->use, std::try_to_lock);
  const bool rests = lock.owns_lock();
  const Plan& plan = state.plans[rests ? state.trials.current() : 0];
  const Mlp<T>& mlp = run.network->mlp;
  py::list transposes_weights;
  for (const bool transposes : plan.transposes_weights) transposes_weights.append(transposes);
  py::dict result;
  result["threads"] = plan.threads;
  result["splits"] = split_names(plan);
  result["tried"] = rests ? tried_plans(state) : py::tuple();
  result["transposes_weights"] = py::tuple(transposes_weights);
  result["own_input"] = plan.own_input;
  result["barriers"] = plan.threads > 1 ? count_barriers(make_step(mlp.spec(), plan, {}, {})) : 0;
  result["row_block"] = plan.row_block;
  result["depth_block"] = plan.depth_block;
  result["panel_group"] = plan.panel_group;
  result["isa"] = mlp.isa();
  result["panel"] = mlp.kernels().panel;
  result["tile_rows"] = mlp.kernels().tile_rows;
  result["parameter_bytes"] = mlp.parameter_elements() * static_cast<std::int64_t>(sizeof(T));
  const std::lock_guard averages_lock(run.averages_use);
  result["run_bytes"] = state.memory.bytes();
  return result;
}

/// Returns the targets of a batch as a Python array.
template <typename Element>
Array<Element> picked_rows(const Element* rows, std::int64_t width, const std::int64_t* index, std::int64_t first,
                           std::int64_t count, bool is_matrix) {
  Array<Element> result = is_matrix ? new_array<Element>({count, width}) : new_array<Element>({count});
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t sample = index == nullptr ? first + i : index[i];
    std::copy_n(rows + sample * width, width, result.mutable_data() + i * width);
  }
  return result;
}

/// Wraps a Python function (outputs, targets) -> (loss, gradient).
template <typename T>
UserLoss<T> user_loss(const py::object& function, const GroupTargets<T>& targets, PythonMonitor& monitor) {
  if (function.is_none()) return {};
  return [&function, targets, &monitor](const Panels<T>& outputs, const std::int64_t* index, std::int64_t first,
                                        const Panels<T>& doutputs, T& loss) {
    return monitor([&] {
      Array<T> values = new_array<T>({outputs.rows, outputs.cols});
      unpack(outputs, {0, outputs.rows}, values.mutable_data());
      const py::object picked =
          targets.classes != nullptr
              ? py::object(picked_rows(targets.classes, 1, index, first, outputs.rows, false))
              : py::object(picked_rows(targets.values, outputs.cols, index, first, outputs.rows, true));
      const py::tuple result = call_inside(function, py::make_tuple(values, picked));
      require(result.size() == 2, "a user-defined loss must return (loss, gradient)");
      // The flags convert other types, and copy arrays that are not aligned.
      constexpr int kConverted = py::array::c_style | py::array::forcecast | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
      py::array_t<T, kConverted> gradient;
      try {
        loss = result[0].cast<T>();
        gradient = result[1].cast<py::array_t<T, kConverted>>();
      } catch (const py::cast_error&) {
        throw py::type_error("a user-defined loss must return a number and an array");
      }
      require_shape<T>(gradient, "gradient of the user-defined loss", {outputs.rows, outputs.cols});
      pack(gradient.data(), doutputs);
    });
  };
}

/// Wraps a Python function (gradients, results, status) -> status; see python/fastmlp/training/shards.py.
template <typename T>
Exchange<T> shard_exchange(const py::object& function, PythonMonitor& monitor) {
  if (function.is_none()) return {};
  return [&function, &monitor](ShardExchange<T>& exchange) {
    return monitor.call([&] {
      // An owner, although it owns nothing: without one the constructor would copy.
      const py::capsule owner(exchange.gradients, [](void*) {});
      const py::array_t<T> gradients({exchange.sums, exchange.elements}, exchange.gradients, owner);
      const py::array_t<double> results({exchange.sums, std::int64_t{2}}, &exchange.results->loss, owner);
      const auto status = call_inside(function, py::make_tuple(gradients, results, static_cast<int>(exchange.status)));
      exchange.status = static_cast<StepStatus>(py::cast<int>(status));
    });
  };
}

/// The part of a request that training and gradients share.
template <typename T>
EpochRequest<T> make_request(const Network<T>& network, const py::object& x, const py::list& y,
                             const py::object& sample_weight, const py::object& loss_function, KeptArguments& kept,
                             const std::function<std::optional<Range>(std::int64_t)>& read = {}) {
  const NetworkSpec& spec = network.mlp.spec();
  require_kernels(spec, !loss_function.is_none());
  EpochRequest<T> request;
  request.samples = sample_rows<T>(x, spec.features(), kept);
  const std::optional<Range> rows = read ? read(request.samples.count) : std::nullopt;
  request.targets = target_rows<T>(y, spec, request.samples.count, kept, rows);
  request.sample_weights = weight_rows<T>(sample_weight, request.samples.count, kept);
  return request;
}

void require_layers(const NetworkSpec& spec, const std::vector<bool>& trainable) {
  require(trainable.empty() || static_cast<std::int64_t>(trainable.size()) == spec.layer_count(),
          "trainable must have one entry per layer");
}

/// Rates of arrays from (kind, index, rate, decay, epsilon).
template <typename T>
std::vector<ArrayRate> array_rates(const Network<T>& network, const py::list& rates) {
  std::vector<ArrayRate> result;
  for (const auto& item : rates) {
    const auto [name, index, rate, decay, epsilon] = require_tuple<std::string, std::int64_t, double, double, double>(
        item, "rates must be tuples of kind, index and the factors of rate, decay and epsilon");
    const ParameterArray<T>& array = parameter(network, name, index);
    require(array.is_trained(), name + " are not trained");
    result.push_back({array.kind, array.index, rate, decay, epsilon});
  }
  return result;
}

/// Lets the samples be those of the shards of this process, if there are `all_samples` in all.
template <typename T>
void take_shares(const RunState<T>& state, std::int64_t all_samples, const py::object& batch_weights, bool drop_last,
                 EpochRequest<T>& request, KeptArguments& kept) {
  if (all_samples != 0) {
    const std::int64_t size = state.batch_size;
    require(all_samples > 0, "all_samples must be positive, or 0 if this process has all");
    const std::int64_t own =
        all_samples / size * own_rows(state.shards, size).size() + own_rows(state.shards, all_samples % size).size();
    require(request.samples.count == own, "x must have the " + std::to_string(own) +
                                              " samples of the shards of this process, got " +
                                              std::to_string(request.samples.count));
  }
  request.all_samples = all_samples;
  if (batch_weights.is_none()) return;
  const auto array = require_array<double>(batch_weights, "batch_weights");
  require_shape<double>(array, "batch_weights", {batches_of(state, request.count(), drop_last).count()});
  request.batch_weights = kept.borrow(array);
}

template <typename T>
py::dict run_epoch(Run<T>& run, const py::object& x, const py::list& y, const py::dict& settings,
                   const py::object& sample_weight, std::int64_t all_samples, const py::object& batch_weights,
                   const py::object& order, bool shuffle, std::uint64_t seed, std::uint32_t epoch,
                   std::int64_t first_step, std::int64_t steps, bool drop_last,
                   const std::vector<double>& learning_rates, const std::vector<double>& decays,
                   const std::vector<double>& dropout_factors, const py::list& rates,
                   const std::vector<bool>& trainable, bool with_penalty, bool record_losses,
                   const py::object& loss_function, const py::object& exchange, const py::object& progress) {
  const auto lock = lock_alone(*run.network);
  KeptArguments kept;
  // Without an order the steps of this call read some labels, and of an epoch in parts each is copied once.
  const auto read = [&](std::int64_t count) -> std::optional<Range> {
    if (shuffle || !order.is_none() || first_step < 0) return std::nullopt;
    const Batches batches = batches_of(run.trainer.state(), count, drop_last);
    const std::int64_t left = std::max<std::int64_t>(batches.count() - first_step, 0);
    const std::int64_t end = first_step + (steps < 0 ? left : std::min(steps, left));
    return Range{batches.rows(first_step).begin, batches.rows(end).begin};
  };
  EpochRequest<T> request = make_request(*run.network, x, y, sample_weight, loss_function, kept, read);
  require_layers(run.network->mlp.spec(), trainable);
  take_shares(run.trainer.state(), all_samples, batch_weights, drop_last, request, kept);
  const std::int64_t whole_steps = request.count() / run.trainer.state().batch_size + 1;
  require(first_step >= 0 && first_step <= whole_steps,
          "first_step must be a step of the epoch, got " + std::to_string(first_step));
  require(steps >= -1, "steps must be at least 0, or -1 for all that are left, got " + std::to_string(steps));
  request.settings = step_settings(settings);
  request.order = sample_order(order, request.samples.count, kept);
  request.shuffle = shuffle;
  request.seed = seed;
  request.epoch = epoch;
  request.first_step = first_step;
  request.steps = steps;
  request.drop_last = drop_last;
  request.learning_rates = learning_rates;
  request.decays = decays;
  request.dropout_factors = dropout_factors;
  request.rates = array_rates(*run.network, rates);
  request.trainable = trainable;
  request.with_penalty = with_penalty;
  std::vector<double> step_losses;
  if (record_losses) {
    step_losses.reserve(static_cast<std::size_t>(whole_steps));
    request.step_losses = &step_losses;
  }
  PythonMonitor monitor;
  request.user_loss = user_loss<T>(loss_function, request.targets[0], monitor);
  request.exchange = shard_exchange<T>(exchange, monitor);
  request.monitor = [&](const Progress& state) {
    return monitor([&] {
      if (progress.is_none()) return;
      call_inside(progress, py::make_tuple(state.samples_done, state.weight_sum, state.loss_sum, state.correct));
    });
  };
  if (request.settings.moves_averages()) {
    const std::lock_guard averages_lock(run.averages_use);
    run.trainer.state().memory.require_averages();
  }
  EpochResult result;
  {
    const Computation computation;
    result = run.trainer.run_epoch(request);
  }
  monitor.rethrow();
  py::dict report;
  report["status"] = status_name(result.status);
  report["steps"] = result.steps;
  report["samples"] = result.progress.samples_done;
  report["weight_sum"] = result.progress.weight_sum;
  report["loss_sum"] = result.progress.loss_sum;
  report["penalty_sum"] = result.progress.penalty_sum;
  report["correct"] = result.progress.correct;
  if (record_losses) report["step_losses"] = step_losses;
  return report;
}

/// visit(key, array) for all arrays, or for the trained ones; key is "<prefix>.<index>.<kind>".
template <typename T, typename Visit>
void for_arrays(const Mlp<T>& mlp, const std::string& prefix, bool trained_only, Visit visit) {
  for (const ParameterArray<T>& array : mlp.arrays()) {
    if (trained_only && !array.is_trained()) continue;
    visit(prefix + "." + std::to_string(array.index) + "." + kParameterKinds[static_cast<std::size_t>(array.kind)],
          array);
  }
}

constexpr double kMostSteps = 9007199254740992.0;  // 2^53: a double represents all integers up to here
constexpr std::size_t kProgressFields = 5;
constexpr std::size_t kPositionFields = 5 + 2 * kProgressFields;

void write(const Progress& sums, double* values) {
  values[0] = static_cast<double>(sums.samples_done);
  values[1] = sums.weight_sum;
  values[2] = sums.loss_sum;
  values[3] = sums.penalty_sum;
  values[4] = sums.correct;
}

Progress read_progress(const double* values) {
  return {static_cast<std::int64_t>(values[0]), values[1], values[2], values[3], values[4]};
}

/// Returns epoch and steps; flags averaged, shown, diverged; sums of the epoch; sums of the last step.
template <typename T>
Array<double> position_array(const RunState<T>& state) {
  Array<double> array = new_array<double>({static_cast<py::ssize_t>(kPositionFields)});
  double* values = array.mutable_data();
  values[0] = static_cast<double>(state.position.epoch);
  values[1] = static_cast<double>(state.position.steps);
  values[2] = state.averaged;
  values[3] = state.shows_averages;
  values[4] = state.diverged;
  write(state.position.sums, values + 5);
  write(state.position.last_step, values + 5 + kProgressFields);
  return array;
}

/// Returns the fields of a position array after a check of their ranges.
std::array<double, kPositionFields> checked_position(const py::dict& source) {
  const auto array = named<Array<double>>(source, "position");
  require_shape<double>(array, "position", {static_cast<py::ssize_t>(kPositionFields)});
  std::array<double, kPositionFields> values{};
  std::copy_n(array.data(), kPositionFields, values.begin());
  for (const std::size_t count : {0, 1, 5, 10}) {
    require(values[count] >= -1 && values[count] <= kMostSteps, "position must hold counts");
  }
  return values;
}

template <typename T>
void set_position(RunState<T>& state, const std::array<double, kPositionFields>& values) {
  state.position = {static_cast<std::int64_t>(values[0]), static_cast<std::int64_t>(values[1]),
                    read_progress(values.data() + 5), read_progress(values.data() + 5 + kProgressFields)};
  state.averaged = values[2] != 0;
  state.shows_averages = values[3] != 0;
  state.diverged = values[4] != 0;
}

/// Returns the state of a run: "slots.<i>.<layer>.<kind>" for the optimizer, "averages.<layer>.<kind>", "position" and
/// "moments". with_start: also "start.<layer>.<kind>", the state that a diverged epoch restores.
template <typename T>
py::dict training_state(Run<T>& run, bool with_start) {
  const auto lock = lock_shared(*run.network);
  const std::lock_guard averages_lock(run.averages_use);
  const RunState<T>& state = run.trainer.state();
  py::dict result;
  const auto add = [&](const T* arrays) {
    return [&, arrays](const std::string& key, const ParameterArray<T>& array) {
      result[key.c_str()] = parameter_values(*run.network, array, arrays);
    };
  };
  for (int slot = 0; slot < state.memory.slot_count(); ++slot) {
    for_arrays(state.mlp, "slots." + std::to_string(slot), true,
               add(state.memory.slots() + slot * state.sink.slot_stride));
  }
  if (state.memory.averages() != nullptr) {
    for_arrays(state.mlp, "averages", false, add(state.memory.averages()));
  }
  if (with_start && state.has_start_of_epoch) {
    for_arrays(state.mlp, "start", false, add(state.memory.start_of_epoch()));
  }
  result["position"] = position_array(state);
  const Moments& moments = state.moments;
  Array<double> scalars = new_array<double>({4});
  const double values[] = {static_cast<double>(moments.steps), moments.beta1_product, moments.beta2_product,
                           moments.schedule};
  std::copy(std::begin(values), std::end(values), scalars.mutable_data());
  result["moments"] = scalars;
  return result;
}

template <typename T>
void restore_training_state(Run<T>& run, const py::dict& source) {
  const auto lock = lock_alone(*run.network);
  RunState<T>& state = run.trainer.state();
  struct Replacement {
    const ParameterArray<T>* array;
    Array<T> values;
    T* state;  // of all arrays; null: the averages
  };
  // Everything is checked before anything is replaced, so that a call that throws changes nothing.
  std::vector<Replacement> replacements;
  const auto check = [&](T* arrays) {
    return [&, arrays](const std::string& key, const ParameterArray<T>& array) {
      const auto values = named<Array<T>>(source, key.c_str());
      require_shape<T>(values, key, parameter_shape(array));
      replacements.push_back({&array, values, arrays});
    };
  };
  for (int slot = 0; slot < state.memory.slot_count(); ++slot) {
    for_arrays(state.mlp, "slots." + std::to_string(slot), true,
               check(state.memory.slots() + slot * state.sink.slot_stride));
  }
  const bool averages = source.contains("averages.0.weights");
  if (averages) for_arrays(state.mlp, "averages", false, check(nullptr));
  const bool start = source.contains("start.0.weights");
  if (start) for_arrays(state.mlp, "start", false, check(state.memory.start_of_epoch()));
  const auto position = source.contains("position") ? std::optional(checked_position(source)) : std::nullopt;
  const auto scalars = named<Array<double>>(source, "moments");
  require_shape<double>(scalars, "moments", {4});
  double values[4];
  std::copy_n(scalars.data(), 4, values);
  require(values[0] >= 0 && values[0] <= kMostSteps, "moments must begin with a number of steps");
  if (averages) state.memory.require_averages();
  for (const Replacement& part : replacements) {
    T* replaced = part.state == nullptr ? state.memory.averages() : part.state;
    state.mlp.set(*part.array, part.values.data(), replaced);
  }
  state.has_start_of_epoch = state.has_start_of_epoch || start;
  if (position) set_position(state, *position);
  state.moments = {static_cast<std::int64_t>(values[0]), values[1], values[2], values[3]};
}

/// Loss and gradient of a network on up to batch_size samples. Memory is kept from call to call.
template <typename T>
struct Gradient {
  std::shared_ptr<Network<T>> network;
  Network<T> gradients;  // holds the gradients in the layout of the parameters
  Trainer<T> trainer;
  std::mutex use;

  Gradient(std::shared_ptr<Network<T>> owner, std::int64_t batch_size, int threads)
      : network(std::move(owner)),
        gradients(network->mlp.spec(), network->mlp.isa()),
        trainer(network->mlp, batch_size, Optimizer::sgd, threads, gradients.mlp.parameters()) {}
};

/// Returns the mean loss over all samples and its gradients: {kind: [one array per layer or group that has it]};
/// with_input adds "input".
template <typename T>
py::tuple compute_gradient(Gradient<T>& gradient, const py::object& x, const py::list& y,
                           const py::object& sample_weight, bool training, std::uint64_t seed, bool with_input,
                           const py::object& loss_function) {
  Network<T>& network = *gradient.network;
  const auto lock = lock_shared(network);  // the network is only read
  const std::unique_lock own_lock(gradient.use, std::try_to_lock);
  if (!own_lock.owns_lock()) throw std::runtime_error("the gradient is being computed by another thread");
  KeptArguments kept;
  EpochRequest<T> request = make_request(network, x, y, sample_weight, loss_function, kept);
  require(!with_input || network.mlp.spec().inputs.empty(),
          "a network with groups of inputs has no gradient by its samples");
  require(request.samples.count <= gradient.trainer.state().batch_size, "more samples than the batch holds");
  request.shuffle = false;
  request.training = training;
  request.seed = seed;
  request.differentiates_input = with_input;
  PythonMonitor monitor;
  request.user_loss = user_loss<T>(loss_function, request.targets[0], monitor);
  request.monitor = [&](const Progress&) { return monitor([] {}); };
  gradient.trainer.state().moments = {};
  EpochResult result;
  {
    const Computation computation;
    result = gradient.trainer.run_epoch(request);
  }
  monitor.rethrow();
  py::dict arrays;
  for (std::size_t kind = 0; kind < kTrainedKinds; ++kind) arrays[kParameterKinds[kind]] = py::list();
  for (const ParameterArray<T>& array : gradient.gradients.mlp.arrays()) {
    if (!array.is_trained()) continue;
    const char* name = kParameterKinds[static_cast<std::size_t>(array.kind)];
    arrays[name].cast<py::list>().append(
        parameter_values(gradient.gradients, array, gradient.gradients.mlp.parameters()));
  }
  if (with_input) {
    const std::int64_t members = network.mlp.spec().members;
    const Panels<T> panels = gradient.trainer.state().memory.input_gradient(request.samples.count * members);
    Array<T> values = new_array<T>({request.samples.count, panels.cols});
    unpack(panels, {0, request.samples.count}, values.mutable_data());
    arrays["input"] = values;
  }
  const Progress& progress = result.progress;
  return py::make_tuple(progress.weight_sum > 0 ? progress.loss_sum / progress.weight_sum : 0.0, arrays);
}

template <typename T>
void register_training_types(py::module_& module, const char* run_name, const char* gradient_name) {
  using Owner = std::shared_ptr<Network<T>>;
  py::class_<Run<T>>(module, run_name)
      .def(py::init<Owner, std::int64_t, const std::string&, int, std::int64_t, std::int64_t, std::int64_t>(),
           py::arg("network"), py::arg("batch_size"), py::arg("optimizer"), py::arg("threads"), py::arg("shards") = 1,
           py::arg("first_shard") = 0, py::arg("last_shard") = -1)
      .def_property_readonly("plan", plan_of<T>)
      .def_property_readonly("position", [](const Run<T>& run) { return position_array(run.trainer.state()); })
      .def_property_readonly("has_averages",
                             [](const Run<T>& run) { return run.trainer.state().memory.averages() != nullptr; })
      .def(
          "smallest_batch",
          [](const Run<T>& run, std::int64_t samples, bool drop_last, const std::vector<bool>& trainable) {
            require(samples >= 1, "samples must be positive");
            require_layers(run.network->mlp.spec(), trainable);
            return run.trainer.smallest_batch(samples, drop_last, trainable);
          },
          py::arg("samples"), py::arg("drop_last"), py::arg("trainable"))
      .def("state", training_state<T>, py::arg("with_start") = false)
      .def("restore", restore_training_state<T>, py::arg("state"))
      .def(
          "average",
          [](Run<T>& run, double decay) {
            const auto lock = lock_shared(*run.network);
            const std::lock_guard averages_lock(run.averages_use);
            run.trainer.average(decay);
          },
          py::arg("decay"))
      .def("show_averages",
           [](Run<T>& run) {
             const auto lock = lock_alone(*run.network);
             run.trainer.show_averages();
           })
      .def("hide_averages",
           [](Run<T>& run) {
             const auto lock = lock_alone(*run.network);
             run.trainer.hide_averages();
           })
      .def("run_epoch", run_epoch<T>, py::arg("x"), py::arg("y"), py::arg("settings"), py::kw_only(),
           py::arg("sample_weight") = py::none(), py::arg("all_samples") = 0, py::arg("batch_weights") = py::none(),
           py::arg("order") = py::none(), py::arg("shuffle") = true, py::arg("seed") = 0, py::arg("epoch") = 0,
           py::arg("first_step") = 0, py::arg("steps") = -1, py::arg("drop_last") = false,
           py::arg("learning_rates") = std::vector<double>{}, py::arg("decays") = std::vector<double>{},
           py::arg("dropout_factors") = std::vector<double>{}, py::arg("rates") = py::list(),
           py::arg("trainable") = std::vector<bool>{}, py::arg("with_penalty") = false,
           py::arg("record_losses") = false, py::arg("loss_function") = py::none(), py::arg("exchange") = py::none(),
           py::arg("progress") = py::none());
  py::class_<Gradient<T>>(module, gradient_name)
      .def(py::init<Owner, std::int64_t, int>(), py::arg("network"), py::arg("batch_size"), py::arg("threads"))
      .def("compute", compute_gradient<T>, py::arg("x"), py::arg("y"), py::kw_only(),
           py::arg("sample_weight") = py::none(), py::arg("training") = false, py::arg("seed") = 0,
           py::arg("with_input") = false, py::arg("loss_function") = py::none());
}

/// total += part, by the arithmetic of a step.
template <typename T>
void add_sum(py::array_t<T, py::array::c_style>& total, const py::array_t<T, py::array::c_style>& part) {
  require(total.size() == part.size(), "total and part must have one size");
  T* to = total.mutable_data();
  const T* from = part.data();
  const auto size = static_cast<std::int64_t>(total.size());
  const Computation computation;
  const WithoutSubnormals scope;
  for (std::int64_t i = 0; i < size; ++i) to[i] += from[i];
}

}  // namespace

void register_training(py::module_& module) {
  module.def("add_sum", add_sum<float>, py::arg("total").noconvert(), py::arg("part").noconvert());
  module.def("add_sum", add_sum<double>, py::arg("total").noconvert(), py::arg("part").noconvert());
  module.def(
      "shard_sums",
      [](std::int64_t shards, std::int64_t begin, std::int64_t end) {
        require(shards >= 1 && begin >= 0 && begin <= end && end <= shards, "begin and end must be shards");
        std::vector<std::pair<std::int64_t, std::int64_t>> nodes;
        for (const Range& node : shard_sums(shards, {begin, end})) nodes.emplace_back(node.begin, node.end);
        return nodes;
      },
      py::arg("shards"), py::arg("begin"), py::arg("end"));
  register_training_types<float>(module, "Run32", "Gradient32");
  register_training_types<double>(module, "Run64", "Gradient64");
}

}  // namespace fastmlp::bindings

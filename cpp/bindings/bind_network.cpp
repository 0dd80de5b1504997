// _core.Mlp32 / Mlp64: a network and its training run, for one scalar type each.
#include <pybind11/stl.h>

#include <memory>
#include <shared_mutex>

#include "bindings/array_args.hpp"
#include "bindings/interrupts.hpp"
#include "bindings/register.hpp"
#include "network/initializer.hpp"
#include "network/mlp.hpp"
#include "network/trainer.hpp"

namespace fastmlp::bindings {
namespace {

/// A network shared between Python threads: many may read, one may write, and nobody waits while holding the GIL.
template <typename T>
struct Network {
  Mlp<T> mlp;
  std::shared_mutex use;

  Network(NetworkSpec spec, const std::string& isa) : mlp(std::move(spec), isa) {}
};

[[noreturn]] void raise_in_use() {
  throw std::runtime_error("the model is in use by another thread: training and changing it need it alone");
}

template <typename T>
std::unique_lock<std::shared_mutex> lock_alone(Network<T>& network) {
  std::unique_lock<std::shared_mutex> lock(network.use, std::try_to_lock);
  if (!lock.owns_lock()) raise_in_use();
  return lock;
}

template <typename T>
std::shared_lock<std::shared_mutex> lock_shared(Network<T>& network) {
  std::shared_lock<std::shared_mutex> lock(network.use, std::try_to_lock);
  if (!lock.owns_lock()) raise_in_use();
  return lock;
}

template <typename T>
std::unique_ptr<Network<T>> make_network(const std::vector<std::int64_t>& layer_sizes,
                                         const std::vector<std::string>& activations, const std::string& loss,
                                         double input_scale, const std::string& isa) {
  NetworkSpec spec;
  spec.layer_sizes = layer_sizes;
  for (const std::string& name : activations) {
    spec.activations.push_back(static_cast<Activation>(find_name(kActivationNames, name, "activation")));
  }
  spec.loss = static_cast<Loss>(find_name(kLossNames, loss, "loss"));
  spec.input_scale = input_scale;
  return std::make_unique<Network<T>>(std::move(spec), isa);
}

template <typename T>
std::int64_t checked_layer(const Network<T>& network, std::int64_t layer) {
  if (layer < 0 || layer >= network.mlp.spec().layers()) throw py::index_error("layer out of range");
  return layer;
}

enum class Parameter { weights, biases };

template <typename T, Parameter kind>
std::vector<py::ssize_t> parameter_shape(const Network<T>& network, std::int64_t layer) {
  const Panels<T>& weights = network.mlp.layer(layer).weights;
  if (kind == Parameter::weights) return {weights.rows, weights.cols};
  return {weights.cols};
}

template <typename T, Parameter kind>
Array<T> get_parameter(Network<T>& network, std::int64_t layer) {
  const auto lock = lock_shared(network);
  checked_layer(network, layer);
  Array<T> result = new_array<T>(parameter_shape<T, kind>(network, layer));
  if (kind == Parameter::weights) {
    network.mlp.get_weights(layer, result.mutable_data());
  } else {
    network.mlp.get_biases(layer, result.mutable_data());
  }
  return result;
}

template <typename T, Parameter kind>
void set_parameter(Network<T>& network, std::int64_t layer, const Array<T>& values) {
  const auto lock = lock_alone(network);
  checked_layer(network, layer);
  require_shape<T>(values, "values", parameter_shape<T, kind>(network, layer));
  if (kind == Parameter::weights) {
    network.mlp.set_weights(layer, values.data());
  } else {
    network.mlp.set_biases(layer, values.data());
  }
}

/// Runs inference with the GIL released, answering signals.
template <typename T>
void run_inference(Network<T>& network, const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads) {
  PythonMonitor monitor;
  {
    const py::gil_scoped_release release;
    network.mlp.infer(samples, outputs, threads, [&] { return monitor.keep_going(); });
  }
  monitor.rethrow();
}

template <typename T>
Array<T> forward(Network<T>& network, const py::array& x, bool probabilities, int threads) {
  const auto lock = lock_shared(network);
  const NetworkSpec& spec = network.mlp.spec();
  const SampleRows samples = sample_rows<T>(x, spec.features());
  Array<T> values = new_array<T>({samples.count, spec.outputs()});
  InferenceOutputs<T> outputs;
  outputs.values = values.mutable_data();
  outputs.probabilities = probabilities;
  run_inference(network, samples, outputs, threads);
  return values;
}

template <typename T>
Array<std::int32_t> predict_classes(Network<T>& network, const py::array& x, int threads) {
  const auto lock = lock_shared(network);
  const SampleRows samples = sample_rows<T>(x, network.mlp.spec().features());
  Array<std::int32_t> predicted = new_array<std::int32_t>({samples.count});
  InferenceOutputs<T> outputs;
  outputs.predicted = predicted.mutable_data();
  run_inference(network, samples, outputs, threads);
  return predicted;
}

/// Sum of the losses of the samples, added in their order, and the number of correct predictions.
template <typename T>
py::tuple evaluate(Network<T>& network, const py::array& x, const py::array& y, int threads) {
  const auto lock = lock_shared(network);
  const NetworkSpec& spec = network.mlp.spec();
  const SampleRows samples = sample_rows<T>(x, spec.features());
  const auto count = static_cast<std::size_t>(samples.count);
  std::vector<T> row_loss(count);
  std::vector<std::int32_t> predicted(count);
  InferenceOutputs<T> outputs;
  outputs.targets = target_rows<T>(y, spec, samples.count);
  outputs.row_loss = row_loss.data();
  outputs.predicted = predicted.data();
  run_inference(network, samples, outputs, threads);
  double sum = 0;
  for (const T loss : row_loss) sum += static_cast<double>(loss);
  std::int64_t correct = 0;
  if (takes_classes(spec.loss)) {
    const auto* labels = static_cast<const std::int64_t*>(outputs.targets);
    for (std::size_t i = 0; i < count; ++i) correct += predicted[i] == labels[i];
  }
  return py::make_tuple(sum, correct);
}

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

/// A training run of one network: holds its memory and the optimizer's state.
template <typename T>
struct Run {
  std::shared_ptr<Network<T>> network;
  Trainer<T> trainer;

  Run(std::shared_ptr<Network<T>> owner, std::int64_t batch_size, const std::string& optimizer, int threads)
      : network(std::move(owner)),
        trainer(network->mlp, batch_size, static_cast<Optimizer>(find_name(kOptimizerNames, optimizer, "optimizer")),
                threads) {}
};

template <typename T>
py::dict plan_of(const Run<T>& run) {
  const Plan& plan = run.trainer.plan();
  const Mlp<T>& mlp = run.network->mlp;
  py::list splits;
  std::int64_t barriers = 2;
  for (std::size_t l = 0; l < plan.splits.size(); ++l) {
    splits.append(plan.splits[l] == Split::outputs ? "outputs" : "rows");
    barriers += plan.meets_before(l);
  }
  py::dict result;
  result["threads"] = plan.threads;
  result["splits"] = py::tuple(splits);
  py::list transposes_weights;
  for (const bool transposes : plan.transposes_weights) transposes_weights.append(transposes);
  result["transposes_weights"] = py::tuple(transposes_weights);
  result["own_input"] = plan.own_input;
  result["barriers"] = plan.threads > 1 ? barriers : 0;
  result["row_block"] = plan.row_block;
  result["depth_block"] = plan.depth_block;
  result["panel_group"] = plan.panel_group;
  result["isa"] = mlp.kernels().isa;
  result["panel"] = mlp.kernels().panel;
  result["tile_rows"] = mlp.kernels().tile_rows;
  result["parameter_bytes"] = mlp.parameter_elements() * static_cast<std::int64_t>(sizeof(T));
  result["run_bytes"] = run.trainer.bytes();
  return result;
}

/// By name; settings that are not named are zero.
StepSettings step_settings(const py::dict& named) {
  StepSettings settings;
  const std::pair<const char*, double StepSettings::*> fields[] = {
      {"learning_rate", &StepSettings::learning_rate},
      {"momentum", &StepSettings::momentum},
      {"beta1", &StepSettings::beta1},
      {"beta2", &StepSettings::beta2},
      {"epsilon", &StepSettings::epsilon},
      {"l1", &StepSettings::l1},
      {"l2", &StepSettings::l2},
      {"decay", &StepSettings::decay},
  };
  for (const auto& [key, value] : named) {
    const auto name = key.cast<std::string>();
    const auto* field =
        std::find_if(std::begin(fields), std::end(fields), [&](const auto& f) { return name == f.first; });
    require(field != std::end(fields), "unknown setting of an optimizer: " + name);
    settings.*(field->second) = value.cast<double>();
  }
  return settings;
}

template <typename T>
py::dict run_epoch(Run<T>& run, const py::array& x, const py::array& y, const py::dict& settings, bool shuffle,
                   std::uint64_t seed, std::uint32_t epoch, const py::object& progress) {
  const auto lock = lock_alone(*run.network);
  const NetworkSpec& spec = run.network->mlp.spec();
  EpochRequest<T> request;
  request.samples = sample_rows<T>(x, spec.features());
  request.targets = target_rows<T>(y, spec, request.samples.count);
  request.settings = step_settings(settings);
  request.shuffle = shuffle;
  request.seed = seed;
  request.epoch = epoch;
  PythonMonitor monitor;
  request.monitor = [&](const Progress& state) {
    return monitor([&] {
      if (!progress.is_none()) progress(state.samples_done, state.loss_sum, state.correct);
    });
  };
  EpochResult result;
  {
    const py::gil_scoped_release release;
    result = run.trainer.run_epoch(request);
  }
  monitor.rethrow();
  py::dict report;
  report["status"] = status_name(result.status);
  report["steps"] = result.steps;
  report["samples"] = result.progress.samples_done;
  report["loss_sum"] = result.progress.loss_sum;
  report["correct"] = result.progress.correct;
  return report;
}

/// Mean loss over all samples, and its gradient as ([dweights], [dbiases]).
template <typename T>
py::tuple loss_and_gradients(Network<T>& network, const py::array& x, const py::array& y, int threads) {
  const auto lock = lock_alone(network);
  const NetworkSpec& spec = network.mlp.spec();
  EpochRequest<T> request;
  request.samples = sample_rows<T>(x, spec.features());
  request.targets = target_rows<T>(y, spec, request.samples.count);
  request.shuffle = false;
  PythonMonitor monitor;
  request.monitor = [&](const Progress&) { return monitor([] {}); };
  // The gradients take the layout of a network, whose own code turns them into arrays.
  Network<T> gradients(spec, network.mlp.kernels().isa);
  EpochResult result;
  {
    const py::gil_scoped_release release;
    Trainer<T> trainer(network.mlp, request.samples.count, Optimizer::sgd, threads, gradients.mlp.parameters());
    result = trainer.run_epoch(request);
  }
  monitor.rethrow();
  py::list weights;
  py::list biases;
  for (std::int64_t l = 0; l < spec.layers(); ++l) {
    weights.append(get_parameter<T, Parameter::weights>(gradients, l));
    biases.append(get_parameter<T, Parameter::biases>(gradients, l));
  }
  return py::make_tuple(result.progress.loss_sum / static_cast<double>(request.samples.count), weights, biases);
}

template <typename T>
void register_network_type(py::module_& module, const char* name, const char* run_name) {
  using Net = Network<T>;
  py::class_<Net, std::shared_ptr<Net>>(module, name)
      .def(py::init([](const std::vector<std::int64_t>& sizes, const std::vector<std::string>& activations,
                       const std::string& loss, double input_scale, const std::string& isa) {
             return std::shared_ptr<Net>(make_network<T>(sizes, activations, loss, input_scale, isa));
           }),
           py::arg("layer_sizes"), py::arg("activations"), py::arg("loss"), py::arg("input_scale"), py::arg("isa") = "")
      .def_property_readonly("isa", [](const Net& network) { return network.mlp.kernels().isa; })
      .def(
          "initialize",
          [](Net& network, const std::string& initializer, std::uint64_t seed) {
            const auto lock = lock_alone(network);
            const int which = find_name(kInitializerNames, initializer, "initializer");
            const py::gil_scoped_release release;
            initialize(network.mlp, static_cast<Initializer>(which), seed);
          },
          py::arg("initializer"), py::arg("seed"))
      .def("get_weights", get_parameter<T, Parameter::weights>, py::arg("layer"))
      .def("set_weights", set_parameter<T, Parameter::weights>, py::arg("layer"), py::arg("values").noconvert())
      .def("get_biases", get_parameter<T, Parameter::biases>, py::arg("layer"))
      .def("set_biases", set_parameter<T, Parameter::biases>, py::arg("layer"), py::arg("values").noconvert())
      .def("forward", forward<T>, py::arg("x"), py::arg("probabilities"), py::arg("threads"))
      .def("predict_classes", predict_classes<T>, py::arg("x"), py::arg("threads"))
      .def("evaluate", evaluate<T>, py::arg("x"), py::arg("y"), py::arg("threads"))
      .def("loss_and_gradients", loss_and_gradients<T>, py::arg("x"), py::arg("y"), py::arg("threads"));
  py::class_<Run<T>>(module, run_name)
      .def(py::init<std::shared_ptr<Net>, std::int64_t, const std::string&, int>(), py::arg("network"),
           py::arg("batch_size"), py::arg("optimizer"), py::arg("threads"))
      .def_property_readonly("plan", plan_of<T>)
      .def("run_epoch", run_epoch<T>, py::arg("x"), py::arg("y"), py::arg("settings"), py::arg("shuffle"),
           py::arg("seed"), py::arg("epoch"), py::arg("progress"));
}

}  // namespace

void register_networks(py::module_& module) {
  register_network_type<float>(module, "Network32", "Run32");
  register_network_type<double>(module, "Network64", "Run64");
}

}  // namespace fastmlp::bindings

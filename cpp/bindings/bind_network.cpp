// _core.Network32 / Network64: the parameters of a network, and inference.
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "base/parallel_for.hpp"
#include "base/team.hpp"
#include "bindings/interrupts.hpp"
#include "bindings/named_args.hpp"
#include "bindings/network.hpp"
#include "bindings/register.hpp"
#include "bindings/sample_args.hpp"
#include "kernels/dispatch.hpp"
#include "network/inference.hpp"
#include "network/initializer.hpp"

namespace fastmlp::bindings {
namespace {

constexpr std::array<const char*, 4> kLinkNames = {"none", "softmax", "sigmoid", "exp"};

template <typename T>
Array<T> get_parameter(Network<T>& network, const std::string& kind, std::int64_t index) {
  const auto lock = lock_shared(network);
  return parameter_values<T>(network, parameter(network, kind, index), network.mlp.parameters());
}

template <typename T>
void set_parameter(Network<T>& network, const std::string& kind, std::int64_t index, const Array<T>& values) {
  const auto lock = lock_alone(network);
  const ParameterArray<T>& array = parameter(network, kind, index);
  require_shape<T>(values, "values", parameter_shape(array));
  network.mlp.set(array, values.data(), network.mlp.parameters());
}

/// Returns (kind, index, shape) of all arrays.
template <typename T>
py::list parameter_list(const Network<T>& network) {
  py::list result;
  for (const ParameterArray<T>& array : network.mlp.arrays()) {
    result.append(py::make_tuple(kParameterKinds[static_cast<std::size_t>(array.kind)], array.index,
                                 py::tuple(py::cast(array.shape))));
  }
  return result;
}

/// Sets several arrays, or none if one of them does not fit.
template <typename T>
void set_parameters(Network<T>& network, const py::list& arrays) {
  const auto lock = lock_alone(network);
  std::vector<std::pair<const ParameterArray<T>*, Array<T>>> assignments;
  for (const auto& item : arrays) {
    const auto [name, index, values] =
        require_tuple<std::string, std::int64_t, py::object>(item, "arrays must be tuples of kind, index and values");
    if (!py::isinstance<Array<T>>(values))
      throw py::type_error("values must be C-contiguous and of the network's type");
    const ParameterArray<T>& array = parameter(network, name, index);
    const auto given = values.template cast<Array<T>>();
    require_shape<T>(given, "values", parameter_shape(array));
    assignments.emplace_back(&array, given);
  }
  for (const auto& [array, values] : assignments) network.mlp.set(*array, values.data(), network.mlp.parameters());
}

/// Calls a function unless another call of this kind is running for the network. Done here because Python code can be
/// interrupted between taking a lock and the try statement that releases it.
template <typename T>
py::object exclusively(Network<T>& network, const py::function& work) {
  if (network.is_trained.exchange(true))
    throw std::runtime_error(
        "the model is being trained already, by another thread or by the fit whose callback this is");
  struct Release {
    std::atomic<bool>& held;
    ~Release() { held = false; }
  };
  const Release release{network.is_trained};
  return work();
}

/// Runs inference without the GIL, and handles signals.
template <typename T>
void run_inference(Network<T>& network, const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads) {
  PythonMonitor monitor;
  InferenceStatus status;
  {
    const Computation computation;
    status = infer(network.mlp, samples, outputs, threads, [&] { return monitor.keep_going(); });
  }
  monitor.rethrow();
  if (status == InferenceStatus::not_finite) throw py::value_error("x must be finite");
}

/// Returns the outputs of the last layer, with `link` applied.
template <typename T>
Array<T> forward(Network<T>& network, const py::object& x, const std::string& link, int threads) {
  const auto lock = lock_shared(network);
  const NetworkSpec& spec = network.mlp.spec();
  KeptArguments kept;
  const SampleRows samples = sample_rows<T>(x, spec.features(), kept);
  Array<T> values = new_array<T>({samples.count, spec.outputs()});
  InferenceOutputs<T> outputs;
  outputs.values = values.mutable_data();
  outputs.link = static_cast<Link>(find_name(kLinkNames, link, "link"));
  run_inference(network, samples, outputs, threads);
  return values;
}

/// Returns the outputs of each hidden layer; with several members the first dimension is the member.
template <typename T>
py::list hidden_outputs(Network<T>& network, const py::object& x, int threads) {
  const auto lock = lock_shared(network);
  const NetworkSpec& spec = network.mlp.spec();
  KeptArguments kept;
  const SampleRows samples = sample_rows<T>(x, spec.features(), kept);
  py::list arrays;
  InferenceOutputs<T> outputs;
  for (std::size_t l = 1; l + 1 < spec.layer_sizes.size(); ++l) {
    std::vector<py::ssize_t> shape{samples.count, spec.layer_sizes[l]};
    if (spec.members > 1) shape.insert(shape.begin(), spec.members);
    Array<T> values = new_array<T>(shape);
    outputs.hidden.push_back(values.mutable_data());
    arrays.append(values);
  }
  run_inference(network, samples, outputs, threads);
  return arrays;
}

template <typename T>
Array<std::int32_t> predict_classes(Network<T>& network, const py::object& x, int threads) {
  const auto lock = lock_shared(network);
  KeptArguments kept;
  const SampleRows samples = sample_rows<T>(x, network.mlp.spec().features(), kept);
  Array<std::int32_t> predicted = new_array<std::int32_t>({samples.count});
  InferenceOutputs<T> outputs;
  outputs.predicted = predicted.mutable_data();
  run_inference(network, samples, outputs, threads);
  return predicted;
}

/// Returns sums over the samples, in their order: weighted losses, weights, weights of correct predictions.
template <typename T>
py::tuple evaluate(Network<T>& network, const py::object& x, const py::list& y, const py::object& sample_weight,
                   int threads) {
  const auto lock = lock_shared(network);
  const NetworkSpec& spec = network.mlp.spec();
  KeptArguments kept;
  const SampleRows samples = sample_rows<T>(x, spec.features(), kept);
  const auto count = static_cast<std::size_t>(samples.count);
  std::vector<T> row_loss(count);
  std::vector<std::int32_t> correct(count);
  require_kernels(spec, false);
  InferenceOutputs<T> outputs;
  outputs.targets = target_rows<T>(y, spec, samples.count, kept);
  outputs.sample_weights = weight_rows<T>(sample_weight, samples.count, kept);
  outputs.row_loss = row_loss.data();
  outputs.correct = correct.data();
  run_inference(network, samples, outputs, threads);
  double sum = 0;
  for (const T loss : row_loss) sum += static_cast<double>(loss);
  double weight = static_cast<double>(count);
  if (outputs.sample_weights != nullptr) {
    weight = 0;
    for (std::size_t i = 0; i < count; ++i) weight += static_cast<double>(outputs.sample_weights[i]);
  }
  double right = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (correct[i] == 0) continue;
    right += outputs.sample_weights == nullptr ? 1 : static_cast<double>(outputs.sample_weights[i]);
  }
  return py::make_tuple(sum, weight, right);
}

template <typename T>
void initialize_from_samples(Network<T>& network, const py::object& x, std::uint64_t seed) {
  const auto lock = lock_alone(network);
  const NetworkSpec& spec = network.mlp.spec();
  require(spec.members == 1, "a network with members is not fitted to samples");
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    require(!spec.layers[l].batch_norm && !spec.finishes_rows(l),
            "a network with normalization or residual blocks is not fitted to samples");
  }
  KeptArguments kept;
  const SampleRows samples = sample_rows<T>(x, spec.features(), kept);
  const Computation computation;
  fastmlp::initialize_from_samples(network.mlp, samples, seed);
}

/// Whether all elements of an array are finite after they are rounded to T.
template <typename T>
bool all_finite(const py::object& x) {
  constexpr std::int64_t kBlock = std::int64_t{1} << 18;
  const py::array array = require_numbers(x, "x");
  const auto type = static_cast<std::size_t>(input_type(array));
  const auto* data = static_cast<const unsigned char*>(array.data());
  const auto count = static_cast<std::int64_t>(array.size());
  const std::int64_t bytes = array.itemsize();
  const KernelTable<T>& kernels = kernel_table<T>();
  std::atomic<bool> finite{true};
  const Computation computation;
  const std::int64_t blocks = ceil_div(std::max<std::int64_t>(count, 1), kBlock);
  parallel_for(blocks < 4 ? 1 : available_threads(), blocks, [&](int, std::int64_t block) {
    const std::int64_t first = block * kBlock;
    const std::int64_t elements = std::min(kBlock, count - first);
    if (finite.load() && !kernels.all_finite[type](elements, data + first * bytes)) finite.store(false);
  });
  return finite.load();
}

template <typename T>
void register_network_type(py::module_& module, const char* name) {
  using Net = Network<T>;
  const auto kind = py::arg("kind");
  const auto index = py::arg("index");
  const auto x = py::arg("x");
  const auto threads = py::arg("threads");
  py::class_<Net, std::shared_ptr<Net>>(module, name)
      .def(py::init([](const py::dict& spec, const std::string& isa) {
             return std::make_shared<Net>(network_spec(spec), isa);
           }),
           py::arg("spec"), py::arg("isa") = "")
      .def_property_readonly("isa", [](const Net& network) { return network.mlp.isa(); })
      .def(
          "initialize",
          [](Net& network, const std::string& initializer, double parameter, std::uint64_t seed) {
            const auto lock = lock_alone(network);
            const int which = find_name(kInitializerNames, initializer, "initializer");
            const Computation computation;
            initialize(network.mlp, static_cast<Initializer>(which), parameter, seed);
          },
          py::arg("initializer"), py::arg("parameter"), py::arg("seed"))
      .def("initialize_from_samples", initialize_from_samples<T>, x, py::arg("seed"))
      .def(
          "set_input_scale",
          [](Net& network, double scale) {
            const auto lock = lock_alone(network);
            network.mlp.set_input_scale(scale);
          },
          py::arg("scale"))
      .def("arrays", parameter_list<T>)
      .def("get", get_parameter<T>, kind, index)
      .def("set", set_parameter<T>, kind, index, py::arg("values").noconvert())
      .def("set_all", set_parameters<T>, py::arg("arrays"))
      .def("exclusively", exclusively<T>, py::arg("work"))
      .def("forward", forward<T>, x, py::arg("link"), threads)
      .def("hidden_outputs", hidden_outputs<T>, x, threads)
      .def("predict_classes", predict_classes<T>, x, threads)
      .def("evaluate", evaluate<T>, x, py::arg("y"), py::arg("sample_weight"), threads);
}

}  // namespace

void register_networks(py::module_& module) {
  register_network_type<float>(module, "Network32");
  register_network_type<double>(module, "Network64");
  module.def("all_finite32", all_finite<float>, py::arg("x"));
  module.def("all_finite64", all_finite<double>, py::arg("x"));
}

}  // namespace fastmlp::bindings

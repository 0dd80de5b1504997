// Converts dictionaries to structures of the core.
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "bindings/array_args.hpp"
#include "network/spec.hpp"
#include "network/step_settings.hpp"

namespace fastmlp::bindings {

/// Returns the value of a key; throws if the key is missing or the value has another type.
template <typename Value>
Value named(const py::dict& arguments, const char* key) {
  require(arguments.contains(key), std::string("missing: ") + key);
  if constexpr (std::is_base_of_v<py::array, Value>) {
    return require_array<typename Value::value_type>(arguments[key], key);
  } else {
    try {
      return arguments[key].cast<Value>();
    } catch (const py::cast_error&) {
      throw py::type_error(std::string(key) + " is of the wrong type, got " +
                           py::repr(py::type::of(arguments[key])).cast<std::string>());
    }
  }
}

/// The items of a tuple; throws if it has other items.
template <typename... Items>
std::tuple<Items...> require_tuple(const py::handle& object, const char* what) {
  try {
    return object.cast<std::tuple<Items...>>();
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(what) + ", got " + py::repr(py::type::of(object)).cast<std::string>());
  }
}

inline py::dict require_dict(const py::handle& object, const char* what) {
  if (!py::isinstance<py::dict>(object)) throw py::type_error(std::string(what) + " must be a dict");
  return py::reinterpret_borrow<py::dict>(object);
}

inline LayerSpec layer_spec(const py::dict& layer) {
  const auto activation = named<std::string>(layer, "activation");
  return {static_cast<Activation>(find_name(kActivationNames, activation, "activation")),
          named<double>(layer, "parameter"),
          named<bool>(layer, "batch_norm"),
          named<double>(layer, "dropout"),
          named<bool>(layer, "mixes"),
          named<bool>(layer, "input_scales"),
          named<bool>(layer, "output_scales"),
          named<bool>(layer, "own_weights"),
          named<bool>(layer, "own_vectors"),
          named<bool>(layer, "layer_norm"),
          named<bool>(layer, "residual")};
}

inline InputGroup input_group(const py::dict& group) {
  return {static_cast<InputKind>(find_name(kInputKindNames, named<std::string>(group, "kind"), "kind")),
          named<std::int64_t>(group, "columns"),
          named<double>(group, "clip"),
          static_cast<Basis>(find_name(kBasisNames, named<std::string>(group, "basis"), "basis")),
          named<std::int64_t>(group, "bases"),
          named<std::int64_t>(group, "outputs"),
          named<bool>(group, "relu"),
          named<bool>(group, "keeps_value"),
          named<std::vector<double>>(group, "edges"),
          named<std::int64_t>(group, "levels"),
          named<double>(group, "deviation")};
}

inline LossSpec loss_spec(const py::dict& loss) {
  return {static_cast<Loss>(find_name(kLossNames, named<std::string>(loss, "loss"), "loss")),
          named<std::int64_t>(loss, "outputs"),
          named<double>(loss, "weight"),
          named<double>(loss, "smoothing"),
          named<std::vector<double>>(loss, "parameters"),
          named<std::vector<double>>(loss, "output_weights")};
}

inline NetworkSpec network_spec(const py::dict& network) {
  NetworkSpec spec;
  spec.layer_sizes = named<std::vector<std::int64_t>>(network, "layer_sizes");
  for (const auto& layer : named<py::list>(network, "layers")) {
    spec.layers.push_back(layer_spec(require_dict(layer, "a layer")));
  }
  for (const auto& loss : named<py::list>(network, "losses"))
    spec.losses.push_back(loss_spec(require_dict(loss, "a loss")));
  for (const auto& group : named<py::list>(network, "inputs"))
    spec.inputs.push_back(input_group(require_dict(group, "a group of inputs")));
  spec.members = named<std::int64_t>(network, "members");
  spec.own_batches = named<bool>(network, "own_batches");
  spec.bfloat16 = named<bool>(network, "bfloat16");
  spec.softmax_output = named<bool>(network, "softmax_output");
  spec.input_scale = named<double>(network, "input_scale");
  spec.input_dropout = named<double>(network, "input_dropout");
  spec.input_noise = named<double>(network, "input_noise");
  spec.batch_norm_momentum = named<double>(network, "batch_norm_momentum");
  spec.normalization_epsilon = named<double>(network, "normalization_epsilon");
  return spec;
}

/// Converts settings; missing ones are zero, an unknown name is an error.
inline StepSettings step_settings(const py::dict& settings) {
  static constexpr std::pair<const char*, double StepSettings::*> kFields[] = {
      {"learning_rate", &StepSettings::learning_rate},
      {"momentum", &StepSettings::momentum},
      {"beta1", &StepSettings::beta1},
      {"beta2", &StepSettings::beta2},
      {"epsilon", &StepSettings::epsilon},
      {"l1", &StepSettings::l1},
      {"l2", &StepSettings::l2},
      {"decay", &StepSettings::decay},
      {"l2_per_batch", &StepSettings::l2_per_batch},
      {"epsilon_hat", &StepSettings::epsilon_hat},
      {"clip_value", &StepSettings::clip_value},
      {"clip_norm", &StepSettings::clip_norm},
      {"max_norm", &StepSettings::max_norm},
      {"average_decay", &StepSettings::average_decay},
  };
  StepSettings result;
  for (const auto& [key, value] : settings) {
    const auto name = py::str(key).cast<std::string>();
    const auto* field =
        std::find_if(std::begin(kFields), std::end(kFields), [&](const auto& f) { return name == f.first; });
    require(field != std::end(kFields), "unknown setting of an optimizer: " + name);
    try {
      result.*(field->second) = value.cast<double>();
    } catch (const py::cast_error&) {
      throw py::type_error(name + " must be a number");
    }
  }
  return result;
}

}  // namespace fastmlp::bindings

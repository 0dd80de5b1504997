// _core.override_plans: lets tests take every path with networks of every size.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/check.hpp"
#include "bindings/register.hpp"
#include "network/plan.hpp"
#include "network/plan_trials.hpp"

namespace fastmlp::bindings {
namespace {

namespace py = pybind11;

/// Fixes decisions of all later plans. The plan makes the decisions that are None.
void override_plans_with(const std::optional<std::uint64_t>& split_by_outputs,
                         const std::optional<std::uint64_t>& transposes_weights, std::optional<bool> own_input,
                         std::optional<bool> leaves_out_columns, std::optional<std::int64_t> row_block,
                         std::optional<std::int64_t> depth_block, std::optional<std::int64_t> panel_group,
                         std::optional<int> threads, const std::vector<std::int64_t>& turns) {
  for (const auto& block : {row_block, depth_block, panel_group}) {
    require(!block || (*block >= 1 && *block <= 1024), "blocks must have 1 to 1024 panels");
  }
  require(!threads || (*threads >= 1 && *threads <= 64), "threads must be 1 to 64");
  for (const std::int64_t steps : turns) require(steps >= 1, "turns must have 1 or more steps");
  override_plans({split_by_outputs, transposes_weights, own_input, leaves_out_columns, row_block, depth_block,
                  panel_group, threads, turns});
}

}  // namespace

void register_testing(py::module_& module) {
  module.def("override_plans", override_plans_with, py::kw_only(), py::arg("split_by_outputs") = py::none(),
             py::arg("transposes_weights") = py::none(), py::arg("own_input") = py::none(),
             py::arg("leaves_out_columns") = py::none(), py::arg("row_block") = py::none(),
             py::arg("depth_block") = py::none(), py::arg("panel_group") = py::none(), py::arg("threads") = py::none(),
             py::arg("turns") = std::vector<std::int64_t>{});
  py::class_<PlanTrials>(module, "PlanTrials")
      .def(py::init([](std::size_t plans) {
             require(plans >= 1 && plans <= 64, "plans must be 1 to 64");
             return std::make_unique<PlanTrials>(plans);
           }),
           py::arg("plans"))
      .def(
          "next",
          [](const PlanTrials& trials, std::int64_t left) {
            require(left >= 1, "left must be at least 1");
            const PlanTurn turn = trials.next(left);
            return py::make_tuple(turn.plan, turn.steps);
          },
          py::arg("left"))
      .def(
          "record",
          [](PlanTrials& trials, std::size_t plan, std::int64_t steps, double seconds) {
            require(plan < trials.times().size(), "plan out of range");
            trials.record({plan, steps}, steps, seconds);
          },
          py::arg("plan"), py::arg("steps"), py::arg("seconds"))
      .def_property_readonly("current", &PlanTrials::current);
}

}  // namespace fastmlp::bindings

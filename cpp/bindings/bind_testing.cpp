// _core.override_plans: lets tests take every path with networks of every size.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>

#include "base/check.hpp"
#include "bindings/register.hpp"
#include "network/plan.hpp"

namespace fastmlp::bindings {
namespace {

namespace py = pybind11;

/// Fixes decisions of all later plans. The plan makes the decisions that are None.
void override_plans_with(const std::optional<std::uint64_t>& split_by_outputs,
                         const std::optional<std::uint64_t>& transposes_weights, std::optional<bool> own_input,
                         std::optional<bool> leaves_out_columns, std::optional<std::int64_t> row_block,
                         std::optional<std::int64_t> depth_block, std::optional<std::int64_t> panel_group) {
  for (const auto& block : {row_block, depth_block, panel_group}) {
    require(!block || (*block >= 1 && *block <= 1024), "blocks must have 1 to 1024 panels");
  }
  override_plans(
      {split_by_outputs, transposes_weights, own_input, leaves_out_columns, row_block, depth_block, panel_group});
}

}  // namespace

void register_testing(py::module_& module) {
  module.def("override_plans", override_plans_with, py::kw_only(), py::arg("split_by_outputs") = py::none(),
             py::arg("transposes_weights") = py::none(), py::arg("own_input") = py::none(),
             py::arg("leaves_out_columns") = py::none(), py::arg("row_block") = py::none(),
             py::arg("depth_block") = py::none(), py::arg("panel_group") = py::none());
}

}  // namespace fastmlp::bindings

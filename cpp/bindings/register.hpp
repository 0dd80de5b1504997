// The registration function of each bind_*.cpp.
#pragma once

#include <pybind11/pybind11.h>

namespace fastmlp::bindings {

void register_networks(pybind11::module_& module);
void register_training(pybind11::module_& module);
void register_testing(pybind11::module_& module);
void register_kernels(pybind11::module_& module);

}  // namespace fastmlp::bindings

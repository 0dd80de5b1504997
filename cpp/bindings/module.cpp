// The extension module fastmlp._core.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "base/parallel_for.hpp"
#include "base/team.hpp"
#include "bindings/interrupts.hpp"
#include "bindings/register.hpp"
#include "kernels/dispatch.hpp"
#include "network/initializer.hpp"
#include "network/peak.hpp"

namespace py = pybind11;

namespace {

double peak_flops(int threads, double seconds, const std::string& isa, const std::string& dtype) {
  fastmlp::bindings::PythonMonitor monitor;
  double result = 0;
  {
    const fastmlp::bindings::Computation computation;
    result = fastmlp::measure_peak(threads, seconds, isa, dtype, [&] { return monitor.keep_going(); });
  }
  monitor.rethrow();
  return result;
}

}  // namespace

// pybind11 initializes by `fastmlp_init_core`; Python calls the function below.
#define PyInit__core fastmlp_init_core

// Locks of the core, not the GIL, protect networks and runs.
PYBIND11_MODULE(_core, module, py::mod_gil_not_used(), py::multiple_interpreters::not_supported()) {
  using namespace fastmlp;
  module.doc() = "The C++ core of fastmlp. Use the package fastmlp instead.";
  install_fork_handler();
  install_parallel_for_fork_handler();
  bindings::register_computations();
  const std::string slow = slowness();  // an impossible FASTMLP_ISA fails here
  if (!slow.empty() && PyErr_WarnExplicit(PyExc_RuntimeWarning, slow.c_str(), "fastmlp", 1, nullptr, nullptr) != 0) {
    PyErr_Clear();  // warnings are errors here; the text must be that of the error with which the import ends
    throw py::import_error(slow);
  }
  module.def("isas", [] { return py::tuple(py::cast(available_isas())); });
  module.def("active_isa", [] { return active_isa(); });
  module.def("available_threads", available_threads);
  module.def("peak_flops", peak_flops, py::arg("threads"), py::arg("seconds"), py::arg("isa") = "",
             py::arg("dtype") = "float32");
#ifdef __clang__
  module.attr("compiler") = __VERSION__;  // begins with a name
#else
  module.attr("compiler") = "GCC " __VERSION__;
#endif
  module.attr("openmp") = openmp_version();
  bindings::register_networks(module);
  bindings::register_training(module);
  bindings::register_testing(module);
  py::module_ kernels =
      module.def_submodule("kernels", "Each kernel family on plain arrays, for tests and benchmarks.");
  bindings::register_kernels(kernels);
  module.def(
      "permutation",
      [](std::int64_t count, std::uint64_t seed, std::uint32_t epoch, std::int64_t member) {
        require(count >= 0, "count must not be negative, got " + std::to_string(count));
        checked_product(count, sizeof(std::int64_t));
        py::array_t<std::int64_t> order(count);
        shuffled_order(seed, epoch, member, count, order.mutable_data());
        return order;
      },
      py::arg("count"), py::arg("seed"), py::arg("epoch"), py::arg("member") = 0);
  module.def("inverse_normal_cdf", inverse_normal_cdf, py::arg("p"));
}

#undef PyInit__core

// The threads and hooks of the core are those of a process. Before Python 3.12 pybind11 does not refuse a second
// interpreter in it, but waits forever for the first one.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return fastmlp_init_core();
  PyErr_SetString(PyExc_ImportError,
                  "fastmlp runs in the main interpreter of a process only: use processes or threads");
  return nullptr;
}

// Signals and Python callbacks while the core computes without the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <exception>
#include <optional>

#include "bindings/computation.hpp"

namespace fastmlp::bindings {

/// Runs Python's pending signal handlers and a callable inside a computation. An exception that they raise stops the
/// computation, and so does the end of the interpreter. `rethrow` throws that exception once the GIL is held.
class PythonMonitor {
 public:
  /// Shortest time between two checks for signals in `keep_going`.
  static constexpr std::chrono::milliseconds kInterval{25};

  /// Takes the GIL. Returns false to stop the computation.
  template <typename Report>
  bool operator()(Report report) {
    return call([&] {
      if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
      report();
    });
  }

  /// The same without a look for signals, for what other processes wait for.
  template <typename Report>
  bool call(Report report) {
    if (interpreter_ends()) return false;
    const PythonInside gil;
    try {
      report();
      return true;
    } catch (...) {  // also errors of converting Python's result
      raised_ = std::current_exception();
      return false;
    }
  }

  /// Checks for signals; may be called at any rate.
  bool keep_going() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_look_) return true;
    next_look_ = now + kInterval;
    return (*this)([] {});
  }

  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  std::exception_ptr raised_;
  std::chrono::steady_clock::time_point next_look_ = std::chrono::steady_clock::now() + kInterval;
};

}  // namespace fastmlp::bindings

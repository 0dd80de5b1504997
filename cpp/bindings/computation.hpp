// Computation without the GIL, in a process whose interpreter may end meanwhile.
//
// Daemon threads continue while the interpreter ends. If one of them asks for the GIL then, Python ends it by unwinding
// its stack (pthread_exit; from Python 3.14 on the thread sleeps forever), and unwinding a C++ frame that must not be
// unwound aborts the process. Therefore a computation that notices the end of the interpreter stops its team and never
// asks for the GIL again: its calling thread sleeps until the process is gone. The atexit hook that announces the end
// waits for a while until running computations have noticed.
#pragma once

#include <pybind11/pybind11.h>

#include "base/arithmetic.hpp"

namespace fastmlp::bindings {

/// Whether the interpreter is ending; false in the thread that ends it.
bool interpreter_ends();

/// Releases the GIL from construction to destruction. Neither returns once the interpreter ends. May be nested, with
/// the GIL taken in between.
class Computation {
 public:
  Computation();
  ~Computation();
  Computation(const Computation&) = delete;
  Computation& operator=(const Computation&) = delete;

 private:
  PyThreadState* state_;
};

/// Holds the GIL from construction to destruction, inside a computation and in its calling thread. Meanwhile the thread
/// computes as the program does that called; if the program changes that, the change outlasts the computation.
class PythonInside {
 public:
  PythonInside();
  ~PythonInside();
  PythonInside(const PythonInside&) = delete;
  PythonInside& operator=(const PythonInside&) = delete;

 private:
  const Arithmetic inside_;
};

/// Returns function(*arguments), called inside a computation. If Python ends the thread in the call, the thread sleeps
/// forever.
pybind11::object call_inside(const pybind11::object& function, const pybind11::tuple& arguments);

/// Registers the hooks for the end of the interpreter and for forks.
void register_computations();

}  // namespace fastmlp::bindings

// Computing without the GIL, in a process whose interpreter may end meanwhile.
//
// Daemon threads run on while the interpreter ends, and one that asks for the GIL then is ended by Python by unwinding
// its stack (pthread_exit; from 3.14 on it sleeps for ever). Frames of C++ that must not be unwound end the process
// with it. So a computation that sees that the interpreter ends stops its team and never asks again: its calling
// thread sleeps until the process is gone. The hook that says so waits a while for those that hold on to Python.
#pragma once

#include <pybind11/pybind11.h>

namespace fastmlp::bindings {

/// Whether the interpreter ends, for every thread but the one that ends it.
bool interpreter_ends();

/// The GIL is free, and this thread computes, from construction to destruction. Neither returns once the interpreter
/// ends. May be nested, with the GIL taken between.
class Computation {
 public:
  Computation();
  ~Computation();
  Computation(const Computation&) = delete;
  Computation& operator=(const Computation&) = delete;

 private:
  PyThreadState* state_;
};

/// Inside a computation, from its calling thread: the GIL is held from construction to destruction.
class PythonInside {
 public:
  PythonInside();
  ~PythonInside() { PyEval_SaveThread(); }
  PythonInside(const PythonInside&) = delete;
  PythonInside& operator=(const PythonInside&) = delete;
};

/// function(*arguments), from inside a computation: where Python ends the thread in there, it sleeps for ever.
pybind11::object call_inside(const pybind11::object& function, const pybind11::tuple& arguments);

/// The hook at the end of the interpreter, and what a fork needs.
void register_computations();

}  // namespace fastmlp::bindings

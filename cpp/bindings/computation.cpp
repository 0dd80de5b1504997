#include "bindings/computation.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

#include "base/system.hpp"

namespace fastmlp::bindings {
namespace {

/// Longer than a step or a usual callback takes. Python itself ends threads whose callback takes longer.
constexpr std::chrono::seconds kLongestWait{5};

std::atomic<int> g_computations{0};  // computations whose thread does not sleep
std::atomic<bool> g_ends{false};
thread_local int t_computations = 0;  // nested computations of this thread
thread_local PyThreadState* t_state = nullptr;
// Of the program, around the innermost computation, until Python runs inside.
thread_local Arithmetic t_arithmetic = Arithmetic::current();
thread_local bool t_ends_interpreter = false;

[[noreturn]] void sleep_for_ever() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours{1});
}

/// Called without the GIL. Locks and memory of the thread's computations are not released.
[[noreturn]] void abandon_computation() {
  g_computations.fetch_sub(t_computations);
  sleep_for_ever();
}

/// Takes the GIL; sleeps forever if Python ends the thread instead.
void take_gil(PyThreadState* state) {
#ifdef __GLIBCXX__
  try {
    PyEval_RestoreThread(state);
  } catch (abi::__forced_unwind&) {
    sleep_for_ever();
  }
#else
  PyEval_RestoreThread(state);
#endif
}

/// Registered with atexit. At that time the interpreter and daemon threads still run; all other threads have ended.
void end_computations() {
  t_ends_interpreter = true;
  g_ends.store(true);
  const auto limit = std::chrono::steady_clock::now() + kLongestWait;
  const pybind11::gil_scoped_release release;
  while (g_computations.load() > t_computations && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::microseconds{500});
  }
}

/// Runs in the child of a fork, which has one thread and an interpreter that is not ending.
void forget_other_threads() {
  g_computations.store(t_computations);
  g_ends.store(false);
}

}  // namespace

bool interpreter_ends() { return g_ends.load() && !t_ends_interpreter; }

Computation::Computation() {
  if (interpreter_ends()) {
    PyEval_SaveThread();
    abandon_computation();
  }
  g_computations.fetch_add(1);
  ++t_computations;
  t_arithmetic = Arithmetic::current();
  t_state = state_ = PyEval_SaveThread();
}

Computation::~Computation() {
  if (interpreter_ends()) abandon_computation();
  take_gil(state_);
  t_arithmetic.apply();
  --t_computations;
  g_computations.fetch_sub(1);
}

PythonInside::PythonInside() : inside_(Arithmetic::current()) {
  take_gil(t_state);
  t_arithmetic.apply();
}

PythonInside::~PythonInside() {
  t_arithmetic = Arithmetic::current();
  inside_.apply();
  PyEval_SaveThread();
}

pybind11::object call_inside(const pybind11::object& function, const pybind11::tuple& arguments) {
  PyObject* result = nullptr;
#ifdef __GLIBCXX__
  try {
    result = PyObject_Call(function.ptr(), arguments.ptr(), nullptr);
  } catch (abi::__forced_unwind&) {
    sleep_for_ever();
  }
#else
  result = PyObject_Call(function.ptr(), arguments.ptr(), nullptr);
#endif
  if (result == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

void register_computations() {
  static const bool installed = at_fork(nullptr, forget_other_threads);
  (void)installed;
  pybind11::module_::import("atexit").attr("register")(pybind11::cpp_function(end_computations));
}

}  // namespace fastmlp::bindings

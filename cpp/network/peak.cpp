#include "network/peak.hpp"

#include <atomic>
#include <chrono>
#include <vector>

#include "base/check.hpp"
#include "base/team.hpp"
#include "kernels/dispatch.hpp"

namespace fastmlp {

namespace {

/// `chains` as in KernelTable::fma_chains.
template <typename T>
double measure(int threads, double seconds, double (*chains)(std::int64_t, T*),
               const std::function<bool()>& keep_going) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kSteps = 20000;  // some hundred microseconds per look at the clock
  std::vector<double> rate(static_cast<std::size_t>(threads), 0.0);
  std::atomic<bool> stop{false};
  run_team(threads, [&](const Worker& worker) {
    T sink[2] = {T{1}, T{0.5}};
    chains(kSteps, sink);
    worker.barrier.wait();
    const auto start = Clock::now();
    double flops = 0;
    double elapsed = 0;
    while (elapsed < seconds && !stop.load(std::memory_order_relaxed)) {
      if (worker.index == 0 && !keep_going()) stop.store(true, std::memory_order_relaxed);
      flops += chains(kSteps, sink);
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    rate[static_cast<std::size_t>(worker.index)] = flops / elapsed;
  });
  double total = 0;
  for (const double r : rate) total += r;
  return total;
}

}  // namespace

double measure_peak(int threads, double seconds, const std::string& isa, const std::string& dtype,
                    const std::function<bool()>& keep_going) {
  require_threads(threads, 1);
  require(seconds > 0 && seconds <= 60, "seconds must be in (0, 60], got " + std::to_string(seconds));
  if (dtype == "float32") return measure(threads, seconds, kernel_table<float>(isa).fma_chains, keep_going);
  if (dtype == "float64") return measure(threads, seconds, kernel_table<double>(isa).fma_chains, keep_going);
  require(dtype == "bfloat16", "dtype must be 'float32', 'float64' or 'bfloat16', got '" + dtype + "'");
  return measure(threads, seconds, bfloat16_kernels(isa).chains, keep_going);
}

}  // namespace fastmlp

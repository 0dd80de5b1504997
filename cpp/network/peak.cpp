#include "network/peak.hpp"

#include <atomic>
#include <chrono>
#include <vector>

#include "base/check.hpp"
#include "base/team.hpp"
#include "kernels/dispatch.hpp"

namespace fastmlp {

double measure_peak(int threads, double seconds, const std::string& isa, bool bfloat16,
                    const std::function<bool()>& keep_going) {
  using Clock = std::chrono::steady_clock;
  require_threads(threads, 1);
  require(seconds > 0 && seconds <= 60, "seconds must be in (0, 60], got " + std::to_string(seconds));
  const auto chains = bfloat16 ? bfloat16_kernels(isa).chains : kernel_table<float>(isa).fma_chains;
  constexpr std::int64_t kSteps = 20000;  // some hundred microseconds per look at the clock
  std::vector<double> rate(static_cast<std::size_t>(threads), 0.0);
  std::atomic<bool> stop{false};
  run_team(threads, [&](const Worker& worker) {
    float sink[2] = {1.0F, 0.5F};
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

}  // namespace fastmlp

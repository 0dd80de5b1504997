#include "network/peak.hpp"

#include <chrono>
#include <vector>

#include "base/check.hpp"
#include "base/team.hpp"
#include "kernels/dispatch.hpp"

namespace fastmlp {

double measure_peak(int threads, double seconds, const std::string& isa) {
  using Clock = std::chrono::steady_clock;
  require_threads(threads, 1);
  require(seconds > 0 && seconds <= 60, "seconds must be in (0, 60], got " + std::to_string(seconds));
  const KernelTable<float>& kernels = kernel_table<float>(isa);
  constexpr std::int64_t kSteps = 20000;  // some hundred microseconds between two looks at the clock
  std::vector<double> rate(static_cast<std::size_t>(threads), 0.0);
  run_team(threads, [&](const Member& member) {
    float sink[2] = {1.0F, 0.5F};
    kernels.fma_chains(kSteps, sink);
    member.barrier.wait();
    const auto start = Clock::now();
    double flops = 0;
    double elapsed = 0;
    while (elapsed < seconds) {
      flops += kernels.fma_chains(kSteps, sink);
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    rate[static_cast<std::size_t>(member.index)] = flops / elapsed;
  });
  double total = 0;
  for (const double r : rate) total += r;
  return total;
}

}  // namespace fastmlp

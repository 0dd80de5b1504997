#include "kernels/cpu.hpp"

#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

namespace fastmlp {
namespace {

#if defined(__x86_64__)

struct Registers {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
};

/// All zero for a leaf that the CPU does not have.
Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool bit(std::uint32_t word, int index) { return (word >> index & 1u) != 0; }

/// The states of registers that the operating system saves.
std::uint32_t saved_states() {
  if (!bit(cpuid(1).ecx, 27)) return 0;  // OSXSAVE
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

Cpu read_cpu() {
  constexpr std::uint32_t kYmm = 0x06;  // XMM and YMM
#if defined(__APPLE__)
  constexpr std::uint32_t kZmm = kYmm;  // macOS begins to save the others at their first use
#else
  constexpr std::uint32_t kZmm = 0xe6;  // and the masks and both parts of ZMM
#endif
  const std::uint32_t saved = saved_states();
  const Registers features = cpuid(7);
  Cpu found;
  found.avx2 = (saved & kYmm) == kYmm && bit(cpuid(1).ecx, 12) && bit(features.ebx, 5);
  const bool instructions = bit(features.ebx, 16) && bit(features.ebx, 17) && bit(features.ebx, 30) &&
                            bit(features.ebx, 31);  // F, DQ, BW, VL
  found.avx512 = found.avx2 && (saved & kZmm) == kZmm && instructions;
  found.avx512_bf16 = found.avx512 && bit(cpuid(7, 1).eax, 5);
  const Registers vendor = cpuid(0);
  const std::uint32_t name[] = {vendor.ebx, vendor.edx, vendor.ecx};
  found.has_fast_bf16 = found.avx512_bf16 && std::memcmp(name, "GenuineIntel", sizeof name) != 0;
  return found;
}

#elif defined(__aarch64__) && defined(__linux__) && defined(PR_SVE_GET_VL) && defined(HWCAP_SVE)

Cpu read_cpu() {
  Cpu found;
  if ((getauxval(AT_HWCAP) & HWCAP_SVE) == 0) return found;
  const int length = prctl(PR_SVE_GET_VL);
  found.sve_bytes = length < 0 ? 0 : length & PR_SVE_VL_LEN_MASK;
  return found;
}

#else

Cpu read_cpu() { return {}; }

#endif

}  // namespace

const Cpu& cpu() {
  static const Cpu found = read_cpu();
  return found;
}

}  // namespace fastmlp

// Busy waiting for a value that another thread is about to write.
#pragma once

namespace fastmlp {

inline constexpr int kSpins = 5000;  // about 50 us, after which a waiting thread yields

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace fastmlp

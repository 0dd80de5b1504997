// Subnormal numbers in floating-point arithmetic. A processor may need a hundred times as long for them as for other
// numbers, and training makes many: velocities of units that are dead shrink to them and rest there, and so do
// gradients of samples that the network knows by heart. So the core takes them for zero, operands and results, like the
// instruction for bfloat16. Arithmetic of the program that calls it must not change.
#pragma once

#include <atomic>
#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#ifdef __FAST_MATH__
#error "fastmlp promises the same bits everywhere: build it without -ffast-math"
#endif

namespace fastmlp {

/// How a thread computes: its control register.
class Arithmetic {
 public:
#if defined(__x86_64__)
  using Control = std::uint32_t;
  static Arithmetic current() { return Arithmetic(_mm_getcsr()); }
  void apply() const { _mm_setcsr(control_); }

 private:
  static constexpr Control kStandard = 0x1f80;  // no exception traps
  static constexpr Control kFlushes = 1u << 15 | 1u << 6;
#elif defined(__aarch64__)
  using Control = std::uint64_t;
  static Arithmetic current() {
    Control control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control) : : "memory");
    return Arithmetic(control);
  }
  void apply() const { __asm__ volatile("msr fpcr, %0" : : "r"(control_) : "memory"); }

 private:
  static constexpr Control kStandard = 0;
  static constexpr Control kFlushes = 1u << 24;
#else
#error "the core needs a processor that can take subnormal numbers for zero"
#endif

 public:
  /// Rounds to nearest, whatever the program does.
  static Arithmetic standard() { return Arithmetic(kStandard); }
  /// The same, and takes subnormal operands and results for zero.
  static Arithmetic without_subnormals() { return Arithmetic(kStandard | kFlushes); }

 private:
  explicit Arithmetic(Control control) : control_(control) {}
  Control control_;
};

/// The calling thread computes by `arithmetic` while it exists.
class ArithmeticScope {
 public:
  explicit ArithmeticScope(Arithmetic arithmetic) : before_(Arithmetic::current()) { set(arithmetic); }
  ~ArithmeticScope() { set(before_); }
  ArithmeticScope(const ArithmeticScope&) = delete;
  ArithmeticScope& operator=(const ArithmeticScope&) = delete;

 private:
  /// The compiler moves no arithmetic on memory across it.
  static void set(Arithmetic arithmetic) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    arithmetic.apply();
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  const Arithmetic before_;
};

/// The calling thread computes as the core does while it exists.
class WithoutSubnormals : ArithmeticScope {
 public:
  WithoutSubnormals() : ArithmeticScope(Arithmetic::without_subnormals()) {}
};

}  // namespace fastmlp

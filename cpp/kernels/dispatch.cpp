#include "kernels/dispatch.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "kernels/cpu.hpp"

namespace fastmlp {

// Defined by the isa_*.cpp that the build includes.
#define FASTMLP_TABLES(isa)                      \
  namespace isa {                                \
  extern const KernelTable<float> kTableFloat;   \
  extern const KernelTable<double> kTableDouble; \
  extern const Bfloat16Kernels kBfloat16;        \
  }
#if FASTMLP_X86
namespace avx512_bf16 {
extern const Bfloat16Kernels kBfloat16;
}
FASTMLP_TABLES(avx512)
FASTMLP_TABLES(avx2)
#endif
#if FASTMLP_NEON
FASTMLP_TABLES(neon)
#endif
#if FASTMLP_SVE
FASTMLP_TABLES(sve256)
FASTMLP_TABLES(sve512)
#endif
FASTMLP_TABLES(generic)

namespace {

struct Isa {
  const char* name;
  bool (*supported)();
  const KernelTable<float>* table_float;
  const KernelTable<double>* table_double;
  const Bfloat16Kernels* bfloat16;
};

// In order of preference: of a name that occurs twice, the first place that the CPU supports counts. A new instruction
// set is one isa_*.cpp and one line here.
const Isa kIsas[] = {
#if FASTMLP_X86
    {"avx512_bf16", [] { return cpu().has_fast_bf16; }, &avx512::kTableFloat, &avx512::kTableDouble,
     &avx512_bf16::kBfloat16},
    {"avx512", [] { return cpu().avx512; }, &avx512::kTableFloat, &avx512::kTableDouble, &avx512::kBfloat16},
    {"avx512_bf16", [] { return cpu().avx512_bf16; }, &avx512::kTableFloat, &avx512::kTableDouble,
     &avx512_bf16::kBfloat16},
    {"avx2", [] { return cpu().avx2; }, &avx2::kTableFloat, &avx2::kTableDouble, &avx2::kBfloat16},
#endif
#if FASTMLP_SVE
    {"sve512", [] { return cpu().sve_bytes == 64; }, &sve512::kTableFloat, &sve512::kTableDouble, &sve512::kBfloat16},
    {"sve256", [] { return cpu().sve_bytes == 32; }, &sve256::kTableFloat, &sve256::kTableDouble, &sve256::kBfloat16},
#endif
#if FASTMLP_NEON
    {"neon", [] { return true; }, &neon::kTableFloat, &neon::kTableDouble, &neon::kBfloat16},
#endif
    {"generic", [] { return true; }, &generic::kTableFloat, &generic::kTableDouble, &generic::kBfloat16},
};

std::string joined_names() {
  std::string names;
  for (const std::string& name : available_isas()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

const Isa& find_isa(const std::string& name, const char* source) {
  for (const Isa& isa : kIsas) {
    if (name == isa.name && isa.supported()) return isa;
  }
  throw std::invalid_argument(std::string(source) + " must be one of " + joined_names() +
                              " (what this build and CPU support), got \"" + name + "\"");
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) {
    const bool is_new = std::find(names.begin(), names.end(), isa.name) == names.end();
    if (is_new && isa.supported()) names.emplace_back(isa.name);
  }
  return names;
}

const std::string& active_isa() {
  static const std::string active = [] {
    const char* forced = std::getenv("FASTMLP_ISA");
    const bool is_forced = forced != nullptr && *forced != '\0';
    return std::string(is_forced ? find_isa(forced, "FASTMLP_ISA").name : available_isas().front());
  }();
  return active;
}

std::string slowness() {
#if defined(__x86_64__) && !defined(__FMA__)
  if (active_isa() != "generic") return "";
  const std::string slow = "fastmlp computes by its generic kernels, 15 to 100 times slower than those for AVX2: ";
  if (!cpu().avx2) return slow + "this CPU has no AVX2 with FMA";
  if (available_isas().size() > 1) return slow + "FASTMLP_ISA is generic; unset it";
  return slow + "this build has no others; install a wheel, or build fastmlp with GCC or Clang for x86-64";
#else
  return "";
#endif
}

namespace {

const Isa& isa_of(const std::string& name) { return find_isa(name.empty() ? active_isa() : name, "isa"); }

}  // namespace

template <>
const KernelTable<float>& kernel_table<float>(const std::string& isa) {
  return *isa_of(isa).table_float;
}

template <>
const KernelTable<double>& kernel_table<double>(const std::string& isa) {
  return *isa_of(isa).table_double;
}

const Bfloat16Kernels& bfloat16_kernels(const std::string& isa) { return *isa_of(isa).bfloat16; }

std::string checked_isa(const std::string& isa) { return isa_of(isa).name; }

}  // namespace fastmlp

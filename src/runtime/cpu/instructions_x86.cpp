// Plain strings here: a template such as fmt's would be merged with other files' copies, which the
// lacking processor cannot execute.
#include <cpuid.h>

#include <cstdint>
#include <string>

#include "cajal/error.h"
#include "runtime/cpu/built_for.h"
#include "runtime/cpu/instructions.h"

namespace cajal {
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

constexpr bool bit(unsigned value, int index) { return ((value >> index) & 1U) != 0; }

/// Register files that the operating system saves: the processor alone does not decide.
std::uint64_t enabled_state() {
  constexpr int kOsXsave = 27;
  if (!bit(cpuid(1, 0).ecx, kOsXsave)) return 0;
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

/// Intel's Software Developer's Manual, volume 2, CPUID leaves 1 and 7.
BuiltFor processor() {
  const std::uint64_t state = enabled_state();
  const auto saves = [&](std::uint64_t mask) { return (state & mask) == mask; };
  const bool avx = saves(0x6);
  const bool avx512 = saves(0xe6);
  const bool amx = saves(0x60000);
  const Registers one = cpuid(1, 0);
  const Registers seven = cpuid(7, 0);
  const Registers seven_one = seven.eax >= 1 ? cpuid(7, 1) : Registers{};
  return {.fma = avx && bit(one.ecx, 12),
          .avx2 = avx && bit(seven.ebx, 5),
          .avx512f = avx512 && bit(seven.ebx, 16),
          .avx512bw = avx512 && bit(seven.ebx, 30),
          .avx512vl = avx512 && bit(seven.ebx, 31),
          .avx512bf16 = avx512 && bit(seven_one.eax, 5),
          .amx_bf16 = amx && bit(seven.edx, 22) && bit(seven.edx, 24)};
}

}  // namespace

bool cpu_has_bf16() {
  const BuiltFor has = processor();
  return has.avx512f && has.avx512bw && has.avx512vl && (has.avx512bf16 || has.amx_bf16);
}

void require_built_instructions() {
  const BuiltFor has = processor();
  std::string missing;
  const auto need = [&](bool built, bool there, const char* name) {
    if (!built || there) return;
    if (!missing.empty()) missing += ", ";
    missing += name;
  };
  need(kBuiltFor.fma, has.fma, "FMA");
  need(kBuiltFor.avx2, has.avx2, "AVX2");
  need(kBuiltFor.avx512f, has.avx512f, "AVX512F");
  need(kBuiltFor.avx512bw, has.avx512bw, "AVX512BW");
  need(kBuiltFor.avx512vl, has.avx512vl, "AVX512VL");
  need(kBuiltFor.avx512bf16, has.avx512bf16, "AVX512-BF16");
  need(kBuiltFor.amx_bf16, has.amx_bf16, "AMX-BF16");
  if (missing.empty()) return;
  throw Error("this binary was built for another processor: this one lacks " + missing,
              "build on this machine, or with -DCAJAL_NATIVE=OFF");
}

}  // namespace cajal

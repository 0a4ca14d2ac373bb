// CPUID says what an x86 CPU can do, XGETBV whether the system saves those registers between tasks (Intel's manual,
// volume 1, 13.3 and 14.3). On ARM the system says both: HWCAP on Linux, sysctl on macOS, a question on Windows.
#include "cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace thinkport {
namespace {

#if defined(__x86_64__)

struct Registers { unsigned a = 0, b = 0, c = 0, d = 0; };

Registers cpuid(unsigned leaf, unsigned part) {
  Registers found;
  __get_cpuid_count(leaf, part, &found.a, &found.b, &found.c, &found.d);
  return found;
}

unsigned saved_registers() {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool has(unsigned value, int bit) { return value >> bit & 1; }

CpuFeatures detect() {
  CpuFeatures found;
  const Registers basic = cpuid(1, 0), more = cpuid(7, 0), most = cpuid(7, 1);
  if (!has(basic.c, 27)) return found;  // OSXSAVE: without it, XGETBV is no instruction
  constexpr unsigned ymm = 0x6, zmm = 0xe6;
  const unsigned saved = saved_registers();
  if ((saved & ymm) != ymm) return found;
  found.avx2 = has(more.b, 5);
  found.fma = has(basic.c, 12);
  found.avx_vnni = has(most.a, 4);
  const bool f_bw_vl = has(more.b, 16) && has(more.b, 30) && has(more.b, 31);
  found.avx512_vnni = (saved & zmm) == zmm && f_bw_vl && has(more.c, 11);
  return found;
}

#elif defined(__aarch64__)

CpuFeatures detect() {
  CpuFeatures found;
#if defined(__linux__)
  found.dotprod = getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
#elif defined(__APPLE__)
  int value = 0;
  size_t size = sizeof value;
  found.dotprod = sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) == 0 && value;
#elif defined(_WIN32)
  found.dotprod = IsProcessorFeaturePresent(43);  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
#endif
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures found = detect();
  return found;
}

}  // namespace thinkport

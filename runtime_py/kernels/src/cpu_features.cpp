// CPUID says what an x86 CPU can do, XGETBV whether the system saves those registers between tasks (Intel's manual,
// volume 1, 13.3 and 14.3). On ARM the system says both: HWCAP on Linux, sysctl on macOS, a question on Windows.
#include "cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace thinkport {
namespace {

bool has(unsigned long value, int bit) { return value >> bit & 1; }

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

CpuFeatures detect() {
  const Registers basic = cpuid(1, 0), more = cpuid(7, 0), most = cpuid(7, 1);
  X86Words words = {basic.c, more.b, more.c, more.d, most.a, 0};
  if (has(basic.c, 27)) words.saved = saved_registers();  // OSXSAVE: without it, XGETBV is no instruction
  return x86_features(words);
}

#elif defined(__aarch64__)

#if defined(__APPLE__)
bool control(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value;
}
#endif

CpuFeatures detect() {
  CpuFeatures found;
#if defined(__linux__)
  found.dotprod = has(getauxval(AT_HWCAP), 20);  // HWCAP_ASIMDDP
  found.i8mm = has(getauxval(AT_HWCAP2), 13);    // HWCAP2_I8MM
#elif defined(__APPLE__)
  found.dotprod = control("hw.optional.arm.FEAT_DotProd");
  found.i8mm = control("hw.optional.arm.FEAT_I8MM");
#elif defined(_WIN32)
  found.dotprod = IsProcessorFeaturePresent(43);  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
  found.i8mm = IsProcessorFeaturePresent(66);     // PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE, known from Windows 11 24H2 on
#endif
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

CpuFeatures x86_features(const X86Words& words) {
  constexpr unsigned ymm = 0x6, zmm = 0xe6, tiles = 0x60000;  // in XCR0: each with the registers that it widens
  CpuFeatures found;
  if ((words.saved & ymm) != ymm) return found;
  found.avx2 = has(words.leaf7_ebx, 5);
  found.fma = has(words.leaf1_ecx, 12);
  found.avx_vnni = has(words.leaf7_1_eax, 4);
  const bool f_bw_vl = has(words.leaf7_ebx, 16) && has(words.leaf7_ebx, 30) && has(words.leaf7_ebx, 31);
  found.avx512_vnni = (words.saved & zmm) == zmm && f_bw_vl && has(words.leaf7_ecx, 11);
  const bool tile_and_int8 = has(words.leaf7_edx, 24) && has(words.leaf7_edx, 25);
  found.amx = (words.saved & tiles) == tiles && tile_and_int8;
  return found;
}

bool allow_tiles() {
#if defined(__x86_64__) && defined(__linux__)  // from 5.16 on; Documentation/arch/x86/xstate.rst
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#elif defined(__x86_64__) && defined(_WIN32)  // from Windows 11 and Server 2022 on, which also give them to a thread that just uses them
  const HMODULE kernel = GetModuleHandleA("kernel32.dll");
  void* const found = kernel ? reinterpret_cast<void*>(GetProcAddress(kernel, "EnableProcessOptionalXStateFeatures")) : nullptr;
  using Enable = BOOL(WINAPI*)(DWORD64);
  return found && reinterpret_cast<Enable>(found)(DWORD64{3} << 17);
#else
  return false;
#endif
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures found = detect();
  return found;
}

}  // namespace thinkport

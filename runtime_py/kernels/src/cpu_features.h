// What this CPU, and the system on it, let a program use.
#pragma once

namespace thinkport {

struct CpuFeatures {
  bool avx2 = false, fma = false, avx_vnni = false, avx512_vnni = false, amx = false;
  bool dotprod = false, i8mm = false;
};

const CpuFeatures& cpu_features();

// What an x86 CPU says: registers of CPUID by leaf and part, and those that the system saves between tasks (XCR0).
struct X86Words {
  unsigned leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_edx = 0, leaf7_1_eax = 0, saved = 0;
};

// What these words allow. `allow_tiles` asks the system for AMX's tiles, and is called only where it has them to give.
CpuFeatures x86_features(const X86Words& words, bool (*allow_tiles)());

}  // namespace thinkport

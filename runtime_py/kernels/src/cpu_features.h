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

// What these words allow.
CpuFeatures x86_features(const X86Words& words);

// Ask the system for AMX's tiles, whose 8 KiB it saves only for processes that ask. The answer holds for all threads.
bool allow_tiles();

}  // namespace thinkport

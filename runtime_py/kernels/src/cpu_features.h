// What this CPU, and the system on it, let a program use.
#pragma once

namespace thinkport {

struct CpuFeatures {
  bool avx2 = false, fma = false, avx_vnni = false, avx512_vnni = false, dotprod = false;
};

const CpuFeatures& cpu_features();

}  // namespace thinkport

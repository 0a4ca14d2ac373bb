// x86's vector instructions in plain C++, from Debian's libsimde-dev, in the place of the compiler's own header: kernel
// sets that this machine's CPU lacks can then be run, slowly. What version 0.7.4 lacks, or rounds twice, is here.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include <cmath>

template <int N, class V, class Load, class Store>
inline V fused_by_lane(V x, V y, V z, Load load, Store store) {
  float a[N], b[N], c[N];
  store(a, x), store(b, y), store(c, z);
  for (int i = 0; i < N; ++i) c[i] = std::fma(a[i], b[i], c[i]);
  return load(c);
}
inline simde__m256 fused_256(simde__m256 x, simde__m256 y, simde__m256 z) {
  return fused_by_lane<8>(x, y, z, [](float* at) { return simde_mm256_loadu_ps(at); }, [](float* at, simde__m256 v) { simde_mm256_storeu_ps(at, v); });
}
inline simde__m512 fused_512(simde__m512 x, simde__m512 y, simde__m512 z) {
  return fused_by_lane<16>(x, y, z, [](float* at) { return simde_mm512_loadu_ps(at); }, [](float* at, simde__m512 v) { simde_mm512_storeu_ps(at, v); });
}
inline simde__m512 to_floats_512(simde__m512i x) {
  int from[16];
  float to[16];
  simde_mm512_storeu_si512(from, x);
  for (int i = 0; i < 16; ++i) to[i] = static_cast<float>(from[i]);
  return simde_mm512_loadu_ps(to);
}
#undef _mm256_fmadd_ps
#undef _mm512_fmadd_ps
#define _mm256_fmadd_ps fused_256
#define _mm512_fmadd_ps fused_512
#define _mm512_cvtepi32_ps to_floats_512
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32

// x86's vector instructions in plain C++, from Debian's libsimde-dev, in the place of the compiler's own header: kernel
// sets that this machine's CPU lacks can then be run, slowly. What version 0.7.4 lacks, or rounds twice, is here.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include <cmath>

#include "tiles.h"

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
#define _mm256_dpwssd_avx_epi32 simde_mm256_dpwssd_epi32

// 512 bits through memory: bytes with a mask, and the few others that attention takes.
using __mmask64 = unsigned long long;
template <class Item>
struct Lanes512 {
  Item at[64 / sizeof(Item)];
  explicit Lanes512(simde__m512i x) { simde_mm512_storeu_si512(at, x); }
  Lanes512() : at() {}
  simde__m512i vector() const { return simde_mm512_loadu_si512(at); }
};
inline simde__m512i rounded_512(simde__m512 x) {
  float from[16];
  Lanes512<int> to;
  simde_mm512_storeu_ps(from, x);
  for (int i = 0; i < 16; ++i) to.at[i] = static_cast<int>(std::nearbyint(from[i]));
  return to.vector();
}
inline simde__m512i widened_512(simde__m128i x) {
  signed char from[16];
  Lanes512<int> to;
  simde_mm_storeu_si128(reinterpret_cast<simde__m128i*>(from), x);
  for (int i = 0; i < 16; ++i) to.at[i] = from[i];
  return to.vector();
}
inline simde__m256i shortened_512(simde__m512i x) {
  const Lanes512<int> from(x);
  short to[16];
  for (int i = 0; i < 16; ++i) to[i] = static_cast<short>(from.at[i]);
  return simde_mm256_loadu_si256(reinterpret_cast<const simde__m256i*>(to));
}
inline simde__m512i loaded_512(__mmask64 there, const void* from) {
  Lanes512<signed char> to;
  for (int i = 0; i < 64; ++i)
    if (there >> i & 1) to.at[i] = static_cast<const signed char*>(from)[i];
  return to.vector();
}
inline __mmask64 signs_512(simde__m512i x) {
  const Lanes512<signed char> from(x);
  __mmask64 found = 0;
  for (int i = 0; i < 64; ++i) found |= static_cast<__mmask64>(from.at[i] < 0) << i;
  return found;
}
inline simde__m512i subtracted_512(simde__m512i kept, __mmask64 where, simde__m512i x, simde__m512i y) {
  Lanes512<signed char> to(kept);
  const Lanes512<signed char> a(x), b(y);
  for (int i = 0; i < 64; ++i)
    if (where >> i & 1) to.at[i] = static_cast<signed char>(a.at[i] - b.at[i]);
  return to.vector();
}
inline simde__m512i magnitudes_512(simde__m512i x) {
  Lanes512<signed char> to(x);
  for (signed char& one : to.at) one = static_cast<signed char>(one < 0 ? -one : one);
  return to.vector();
}
inline int total_512(simde__m512i x) {
  int sum = 0;
  for (const int one : Lanes512<int>(x).at) sum += one;
  return sum;
}
#undef _mm512_abs_epi8
#undef _mm512_movepi8_mask
#undef _mm512_mask_sub_epi8
#define _mm512_cvtps_epi32 rounded_512
#define _mm512_cvtepi8_epi32 widened_512
#define _mm512_cvtepi32_epi16 shortened_512
#define _mm512_maskz_loadu_epi8 loaded_512
#define _mm512_movepi8_mask signs_512
#define _mm512_mask_sub_epi8 subtracted_512
#define _mm512_abs_epi8 magnitudes_512
#define _mm512_reduce_add_epi32 total_512

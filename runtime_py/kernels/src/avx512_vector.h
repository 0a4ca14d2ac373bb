// 512 bits of x86 with dots of four bytes (VNNI), as matrix_kernel.h and attention_kernel.h take them.
#pragma once

#include <immintrin.h>

#include "attention_kernel.h"
#include "matrix_kernel.h"

namespace thinkport {
namespace {

struct Avx512Vnni {
  static constexpr int rows = 16, ROWS = 8, CENTER8 = 0;
  static constexpr bool SPLIT8 = false;
  using Ints = __m512i;
  using Floats = __m512;
  using Narrow = __m512i;

  static Ints load(const uint8_t* at) { return _mm512_loadu_si512(at); }
  static Floats load_floats(const uint8_t* at) { return _mm512_loadu_ps(at); }
  static void store(float* at, Floats x) { _mm512_storeu_ps(at, x); }
  static Ints low(Ints x) { return _mm512_and_si512(x, _mm512_set1_epi32(0x0f0f0f0f)); }
  static Ints high(Ints x) { return low(_mm512_srli_epi32(x, 4)); }
  static Ints centered(Ints x) { return x; }
  static Ints spread(int32_t value) { return _mm512_set1_epi32(value); }
  static Floats spread_float(float value) { return _mm512_set1_ps(value); }
  static Floats zeros() { return _mm512_setzero_ps(); }
  static Narrow begin(Ints dots) { return dots; }
  static Narrow add4(Narrow sum, Ints x, Ints y) { return _mm512_dpbusd_epi32(sum, x, y); }
#if defined(__AVX512F__)
  static void keep(Ints& x) { __asm__("" : "+v"(x)); }
#else  // emulated
  static void keep(Ints&) {}
#endif
  static Ints end(Ints, Narrow dots) { return dots; }
  static Ints add8(Ints sum, Ints x, Ints y) { return _mm512_dpbusd_epi32(sum, x, y); }
  static Ints subtract(Ints x, Ints y) { return _mm512_sub_epi32(x, y); }
  static Ints multiply(Ints x, Ints y) { return _mm512_mullo_epi32(x, y); }
  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Floats times(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
  static Floats fused(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
  static Floats plus(Floats x, Floats y) { return _mm512_add_ps(x, y); }
  static Floats larger(Floats x, Floats y) { return _mm512_max_ps(x, y); }
  static Ints rounded(Floats x) { return _mm512_cvtps_epi32(x); }
  static Floats power_of_two(Ints x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(127)), 23)); }
  static void store_short(int16_t* at, Ints x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_cvtepi32_epi16(x)); }
  static constexpr int COLUMNS = 32, TOGETHER = 8;
  // Columns 0 to 7 and 16 to 23, and those between and behind them: bytes are interleaved within halves.
  struct Columns { Ints outer, inner; };
  using Pair = Ints;
  static Columns columns_of(const int8_t* even, const int8_t* odd) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)), y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd));
    return {_mm512_cvtepi8_epi16(_mm256_unpacklo_epi8(x, y)), _mm512_cvtepi8_epi16(_mm256_unpackhi_epi8(x, y))};
  }
  static Pair pair_of(const int16_t* weights) {
    int32_t both;
    std::memcpy(&both, weights, 4);
    return _mm512_set1_epi32(both);
  }
  static void add_columns(Ints (&sums)[2], const Columns& values, Pair weights) {
    sums[0] = _mm512_dpwssd_epi32(sums[0], values.outer, weights), sums[1] = _mm512_dpwssd_epi32(sums[1], values.inner, weights);
  }
  static void store_columns(float* at, const Ints (&sums)[2], Floats factor) {
    const Floats outer = times(to_floats(sums[0]), factor), inner = times(to_floats(sums[1]), factor);
    _mm256_storeu_ps(at, _mm512_castps512_ps256(outer)), _mm256_storeu_ps(at + 16, half(outer));
    _mm256_storeu_ps(at + 8, _mm512_castps512_ps256(inner)), _mm256_storeu_ps(at + 24, half(inner));
  }
  static __m256 half(Floats x) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)); }
  // Heads are multiples of 32 wide, so half a vector may be left.
  static int32_t signed_dot(const int8_t* q, const int8_t* k, size_t count) {
    Ints sum = _mm512_setzero_si512();
    for (size_t i = 0; i < count; i += 64) {
      const __mmask64 there = count - i < 64 ? 0xffffffff : ~__mmask64{0};
      const Ints x = _mm512_maskz_loadu_epi8(there, q + i), y = _mm512_maskz_loadu_epi8(there, k + i);
      const Ints turned = _mm512_mask_sub_epi8(y, _mm512_movepi8_mask(x), _mm512_setzero_si512(), y);
      sum = _mm512_dpbusd_epi32(sum, _mm512_abs_epi8(x), turned);
    }
    return _mm512_reduce_add_epi32(sum);
  }
  // Keys are taken as unsigned, 128 larger, which adds 128 times the sum of the query to each dot.
  static void four_dots(const int8_t* q, const int8_t* k, size_t stride, size_t count, int32_t* out) {
    const Ints top = _mm512_set1_epi8(-128);
    Ints sums[4] = {}, more = _mm512_setzero_si512();
    for (size_t i = 0; i < count; i += 64) {
      const __mmask64 there = count - i < 64 ? 0xffffffff : ~__mmask64{0};
      const Ints x = _mm512_maskz_loadu_epi8(there, q + i);
      more = _mm512_dpbusd_epi32(more, top, x);
      UNROLLED for (size_t t = 0; t < 4; ++t)
        sums[t] = _mm512_dpbusd_epi32(sums[t], _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, k + t * stride + i), top), x);
    }
    UNROLLED for (size_t t = 0; t < 4; ++t) sums[t] = subtract(sums[t], more);
    const auto both = [](Ints x, Ints y) { return _mm512_add_epi32(_mm512_unpacklo_epi32(x, y), _mm512_unpackhi_epi32(x, y)); };
    const Ints first = both(sums[0], sums[1]), last = both(sums[2], sums[3]);
    const Ints four = _mm512_add_epi32(_mm512_unpacklo_epi64(first, last), _mm512_unpackhi_epi64(first, last));
    const __m256i two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1)));
  }
};

}  // namespace
}  // namespace thinkport

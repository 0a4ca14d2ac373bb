// 256 bits of x86 as matrix_kernel.h and attention_kernel.h take them; Dot says how four bytes are multiplied:
//   CENTER8, Narrow, begin, add4, end, add8    see matrix_kernel.h
//   signed4                                    sums plus dots of four signed bytes each, the second ones at least -127
//   pairs_of_16                                sums plus dots of two int16 each
#pragma once

#include <immintrin.h>

#include "attention_kernel.h"
#include "matrix_kernel.h"

namespace thinkport {
namespace {

template <class Dot, int ROWS_AT_ONCE>
struct Vector256 : Dot {
  static constexpr int rows = 8, ROWS = ROWS_AT_ONCE;
  using Ints = __m256i;
  using Floats = __m256;

  static Ints load(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static Floats load_floats(const uint8_t* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  static void store(float* at, Floats x) { _mm256_storeu_ps(at, x); }
  static Ints low(Ints x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
  static Ints high(Ints x) { return low(_mm256_srli_epi16(x, 4)); }
  static Ints centered(Ints x) { return Dot::CENTER8 ? _mm256_xor_si256(x, _mm256_set1_epi8(-128)) : x; }
  static Ints spread(int32_t value) { return _mm256_set1_epi32(value); }
  static Floats spread_float(float value) { return _mm256_set1_ps(value); }
  static Floats zeros() { return _mm256_setzero_ps(); }
#if defined(__AVX2__)
  static void keep(Ints& x) { __asm__("" : "+x"(x)); }
#else  // emulated
  static void keep(Ints&) {}
#endif
  static Ints subtract(Ints x, Ints y) { return _mm256_sub_epi32(x, y); }
  static Ints multiply(Ints x, Ints y) { return _mm256_mullo_epi32(x, y); }
  static Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
  static Floats times(Floats x, Floats y) { return _mm256_mul_ps(x, y); }
  static Floats fused(Floats x, Floats y, Floats z) { return _mm256_fmadd_ps(x, y, z); }
  static Floats plus(Floats x, Floats y) { return _mm256_add_ps(x, y); }
  static Floats larger(Floats x, Floats y) { return _mm256_max_ps(x, y); }
  static Ints rounded(Floats x) { return _mm256_cvtps_epi32(x); }
  static Floats power_of_two(Ints x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(127)), 23)); }
  static void store_short(int16_t* at, Ints x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
  }
  static constexpr int COLUMNS = 16, TOGETHER = 4;
  struct Columns { Ints first, last; };
  using Pair = Ints;
  static Columns columns_of(const int8_t* even, const int8_t* odd) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(even)), y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(odd));
    return {_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)), _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y))};
  }
  static Pair pair_of(const int16_t* weights) {
    int32_t both;
    std::memcpy(&both, weights, 4);
    return _mm256_set1_epi32(both);
  }
  static void add_columns(Ints (&sums)[2], const Columns& values, Pair weights) {
    sums[0] = Dot::pairs_of_16(sums[0], values.first, weights), sums[1] = Dot::pairs_of_16(sums[1], values.last, weights);
  }
  static void store_columns(float* at, const Ints (&sums)[2], Floats factor) {
    store(at, times(to_floats(sums[0]), factor)), store(at + 8, times(to_floats(sums[1]), factor));
  }
  static int32_t total(Ints x) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  static int32_t signed_dot(const int8_t* q, const int8_t* k, size_t count) {
    Ints sum = _mm256_setzero_si256();
    for (size_t i = 0; i < count; i += 32)
      sum = Dot::signed4(sum, load(reinterpret_cast<const uint8_t*>(q + i)), load(reinterpret_cast<const uint8_t*>(k + i)));
    return total(sum);
  }
  static void four_dots(const int8_t* q, const int8_t* k, size_t stride, size_t count, int32_t* out) {
    Ints sums[4] = {};
    for (size_t i = 0; i < count; i += 32) {
      const Ints x = load(reinterpret_cast<const uint8_t*>(q + i));
      UNROLLED for (size_t t = 0; t < 4; ++t) sums[t] = Dot::signed4(sums[t], x, load(reinterpret_cast<const uint8_t*>(k + t * stride + i)));
    }
    const Ints both = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), four);
  }
};

}  // namespace
}  // namespace thinkport

// AVX2 with FMA: Intel from Haswell (2013) on, AMD from Zen on. Multiplies unsigned codes by signed activations in
// pairs to int16: 4-bit codes leave room for eight such sums (15 * 127 * 2 * 8 < 2**15), 8-bit ones for one.
#include <immintrin.h>

#include "cpu_features.h"
#include "attention_kernel.h"
#include "matrix_kernel.h"

namespace thinkport {
namespace {

struct Avx2 {
  static constexpr int rows = 8, ROWS = 4, CENTER8 = 128;
  using Ints = __m256i;
  using Floats = __m256;
  using Narrow = __m256i;  // 16 sums of int16

  static Ints load(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static Floats load_floats(const uint8_t* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  static void store(float* at, Floats x) { _mm256_storeu_ps(at, x); }
  static Ints low(Ints x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
  static Ints high(Ints x) { return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15)); }
  static Ints centered(Ints x) { return _mm256_xor_si256(x, _mm256_set1_epi8(-128)); }
  static Ints spread(int32_t value) { return _mm256_set1_epi32(value); }
  static Floats spread_float(float value) { return _mm256_set1_ps(value); }
  static Floats zeros() { return _mm256_setzero_ps(); }
  static Narrow begin(Ints) { return _mm256_setzero_si256(); }
  static Narrow add4(Narrow sum, Ints x, Ints y) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, y)); }
  static Ints pairs(Ints x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
  static Ints end(Ints dots, Narrow narrow) { return _mm256_add_epi32(dots, pairs(narrow)); }
  // |x| is at most 128 as an unsigned byte, y at least -127: the pair fits (128 * 127 * 2 < 2**15).
  static Ints add8(Ints sum, Ints x, Ints y) {
    return _mm256_add_epi32(sum, pairs(_mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x))));
  }
  static Ints subtract(Ints x, Ints y) { return _mm256_sub_epi32(x, y); }
  static Ints multiply(Ints x, Ints y) { return _mm256_mullo_epi32(x, y); }
  static Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
  static Floats times(Floats x, Floats y) { return _mm256_mul_ps(x, y); }
  static Floats fused(Floats x, Floats y, Floats z) { return _mm256_fmadd_ps(x, y, z); }
  static Floats plus(Floats x, Floats y) { return _mm256_add_ps(x, y); }
  static Floats larger(Floats x, Floats y) { return _mm256_max_ps(x, y); }
  static Ints rounded(Floats x) { return _mm256_cvtps_epi32(x); }
  static Floats power_of_two(Ints x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(127)), 23)); }
  static Floats load_bytes(const int8_t* at) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)))); }
  static int32_t total(Ints x) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  // |q| is at most 127 as an unsigned byte, as the pair of 8-bit codes above.
  static int32_t signed_dot(const int8_t* q, const int8_t* k, size_t count) {
    Ints sum = _mm256_setzero_si256();
    for (size_t i = 0; i < count; i += 32) {
      const Ints x = load(reinterpret_cast<const uint8_t*>(q + i)), y = load(reinterpret_cast<const uint8_t*>(k + i));
      sum = _mm256_add_epi32(sum, pairs(_mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x))));
    }
    return total(sum);
  }
};

bool runs_here() { return cpu_features().avx2 && cpu_features().fma; }

}  // namespace

extern const KernelSet AVX2;
const KernelSet AVX2 = {"avx2", runs_here, Avx2::rows, quantize, multiply<Avx2>, attend<Avx2>};

}  // namespace thinkport

// AVX2 with FMA: Intel from Haswell (2013) on, AMD from Zen on. Multiplies unsigned codes by signed activations in
// pairs to int16: 4-bit codes leave room for eight such sums (15 * 127 * 2 * 8 < 2**15), 8-bit ones for one.
#include "cpu_features.h"
#include "vector256.h"

namespace thinkport {
namespace {

struct PairDot {
  static constexpr int CENTER8 = 128;
  static constexpr bool SPLIT8 = true;
  using Narrow = __m256i;  // 16 sums of int16

  static Narrow begin(__m256i) { return _mm256_setzero_si256(); }
  static Narrow add4(Narrow sum, __m256i x, __m256i y) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, y)); }
  static __m256i pairs(__m256i x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
  static __m256i end(__m256i dots, Narrow narrow) { return _mm256_add_epi32(dots, pairs(narrow)); }
  // |x| is at most 128 as an unsigned byte, y at least -127: the pair fits (128 * 127 * 2 < 2**15).
  static __m256i add8(__m256i sum, __m256i x, __m256i y) {
    return _mm256_add_epi32(sum, pairs(_mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x))));
  }
  static __m256i signed4(__m256i sum, __m256i x, __m256i y) { return add8(sum, x, y); }
  static __m256i pairs_of_16(__m256i sum, __m256i x, __m256i y) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, y)); }
};

using Avx2 = Vector256<PairDot, 4>;

bool runs_here() { return cpu_features().avx2 && cpu_features().fma; }

}  // namespace

extern const KernelSet AVX2;
const KernelSet AVX2 = {"avx2", runs_here, Avx2::rows, quantize, multiply<Avx2>, attend<Avx2>};

}  // namespace thinkport

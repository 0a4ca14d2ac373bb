// AVX-VNNI: 256 bits wide dots of four bytes. Intel's Core from Alder Lake (2021) on, AMD from Zen 5 on.
#include "cpu_features.h"
#include "vector256.h"

namespace thinkport {
namespace {

struct QuadDot {
  static constexpr int CENTER8 = 0;
  static constexpr bool SPLIT8 = false;
  using Narrow = __m256i;

  static Narrow begin(__m256i dots) { return dots; }
  static Narrow add4(Narrow sum, __m256i x, __m256i y) { return _mm256_dpbusd_avx_epi32(sum, x, y); }
  static __m256i end(__m256i, Narrow dots) { return dots; }
  static __m256i add8(__m256i sum, __m256i x, __m256i y) { return _mm256_dpbusd_avx_epi32(sum, x, y); }
  static __m256i signed4(__m256i sum, __m256i x, __m256i y) { return _mm256_dpbusd_avx_epi32(sum, _mm256_abs_epi8(x), _mm256_sign_epi8(y, x)); }
  static __m256i pairs_of_16(__m256i sum, __m256i x, __m256i y) { return _mm256_dpwssd_avx_epi32(sum, x, y); }
};

using AvxVnni = Vector256<QuadDot, 6>;

bool runs_here() { return cpu_features().avx2 && cpu_features().fma && cpu_features().avx_vnni; }

}  // namespace

extern const KernelSet AVX_VNNI;
const KernelSet AVX_VNNI = {"avx_vnni", runs_here, AvxVnni::rows, quantize, multiply<AvxVnni>, attend<AvxVnni>};

}  // namespace thinkport

// AVX-512 with VNNI: 512 bits wide dots of four bytes. Intel's servers from Cascade Lake (2019) on and Core of the
// tenth and eleventh generation, AMD from Zen 4 on.
#include <immintrin.h>

#include "cpu_features.h"
#include "matrix_kernel.h"

namespace thinkport {
namespace {

struct Avx512Vnni {
  static constexpr int rows = 16, ROWS = 8, CENTER8 = 0;
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
  static Ints end(Ints, Narrow dots) { return dots; }
  static Ints add8(Ints sum, Ints x, Ints y) { return _mm512_dpbusd_epi32(sum, x, y); }
  static Ints subtract(Ints x, Ints y) { return _mm512_sub_epi32(x, y); }
  static Ints multiply(Ints x, Ints y) { return _mm512_mullo_epi32(x, y); }
  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Floats times(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
  static Floats fused(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
};

bool runs_here() { return cpu_features().avx512_vnni; }

}  // namespace

extern const KernelSet AVX512_VNNI;
const KernelSet AVX512_VNNI = {"avx512_vnni", runs_here, Avx512Vnni::rows, quantize, multiply<Avx512Vnni>};

}  // namespace thinkport

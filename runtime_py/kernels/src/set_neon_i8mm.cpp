// NEON with products of blocks (smmla): two rows times two rows over eight columns. ARM's cores from Neoverse V1 and
// Cortex-X2 (2021) on, Apple's from M2 on. Few rows are multiplied as by dots.
#include "cpu_features.h"
#include "neon_vector.h"
#include "panel_kernel.h"

namespace thinkport {
namespace {

struct PairProducts {
  using V = Neon<Dots>;
  static constexpr int ROWS = 8;
  static constexpr size_t PAIRS = V::rows / 2;  // of the matrix's rows in a tile

  template <int ROWS>
  static void begin(size_t) {}
  static void end() {}
  static int32x4_t less(int32x4_t x, int32x4_t y) { return vreinterpretq_s32_s8(vsubq_s8(vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(y))); }
  static V::Ints less(V::Ints x, V::Ints y) { return {less(x.val[0], y.val[0]), less(x.val[1], y.val[1])}; }
  // Eight columns of a row side by side, two rows in a vector.
  static void put(int8_t* panel, V::Ints x, V::Ints y) {
    UNROLLED for (int half = 0; half < 2; ++half, panel += 32) {
      vst1q_s8(panel, vreinterpretq_s8_s32(vzip1q_s32(x.val[half], y.val[half])));
      vst1q_s8(panel + 16, vreinterpretq_s8_s32(vzip2q_s32(x.val[half], y.val[half])));
    }
  }
  template <int, int ROWS>
  static void start(const int8_t* panel, const int8_t* codes, size_t group, int32_t* to) {
    constexpr int N = ROWS / 2;  // pairs of rows
    int32x4_t sums[N][PAIRS];
    const int8_t *even[N], *odd[N];
    UNROLLED for (int n = 0; n < N; ++n) {
      even[n] = codes + 2 * static_cast<size_t>(n) * group, odd[n] = even[n] + group;
      UNROLLED for (size_t pair = 0; pair < PAIRS; ++pair) sums[n][pair] = vdupq_n_s32(0);
    }
    for (size_t column = 0; column < group; column += 8, panel += 16 * PAIRS) {
      int8x16_t of_matrix[PAIRS];
      UNROLLED for (size_t pair = 0; pair < PAIRS; ++pair) of_matrix[pair] = vld1q_s8(panel + 16 * pair);
      UNROLLED for (int n = 0; n < N; ++n) {
        const int8x16_t two = vcombine_s8(vld1_s8(even[n] + column), vld1_s8(odd[n] + column));
        UNROLLED for (size_t pair = 0; pair < PAIRS; ++pair) sums[n][pair] = vmmlaq_s32(sums[n][pair], two, of_matrix[pair]);
      }
    }
    UNROLLED for (int n = 0; n < N; ++n)
      UNROLLED for (size_t pair = 0; pair < PAIRS; ++pair) {
        int32_t* at = to + 2 * static_cast<size_t>(n) * V::rows + 2 * pair;
        vst1_s32(at, vget_low_s32(sums[n][pair]));
        vst1_s32(at + V::rows, vget_high_s32(sums[n][pair]));
      }
  }
  template <int>
  static void take(int32_t*) {}
};

bool runs_here() { return cpu_features().dotprod && cpu_features().i8mm; }

}  // namespace

extern const KernelSet NEON_I8MM;
const KernelSet NEON_I8MM = {"neon_i8mm", runs_here, Neon<Dots>::rows, quantize, multiply_blocks<PairProducts>, attend<Neon<Dots>>};

}  // namespace thinkport

// NEON as every 64-bit ARM has it: products of bytes in int16 (128 * 127 * 2 < 2**15), added in pairs to int32.
#include "neon_vector.h"

namespace thinkport {
namespace {

struct Products {
  static int32x4_t add(int32x4_t sum, int8x16_t x, int8x16_t y) {
    const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(y)), high = vmull_high_s8(x, y);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
  }
};

bool everywhere() { return true; }

}  // namespace

extern const KernelSet NEON;
const KernelSet NEON = {"neon", everywhere, Neon<Products>::rows, quantize, multiply<Neon<Products>>, attend<Neon<Products>>};

}  // namespace thinkport

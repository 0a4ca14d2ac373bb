// 128 bits of ARM's NEON, twice, so that a tile has eight rows as on other CPUs. Dot says how four bytes are multiplied.
#pragma once

#include <arm_neon.h>

#include "attention_kernel.h"
#include "matrix_kernel.h"

namespace thinkport {
namespace {

#if defined(__ARM_FEATURE_DOTPROD)
struct Dots {
  static int32x4_t add(int32x4_t sum, int8x16_t x, int8x16_t y) { return vdotq_s32(sum, x, y); }
};
#endif

template <class Dot>
struct Neon {
  static constexpr int rows = 8, ROWS = 4, CENTER8 = 128;
  static constexpr bool SPLIT8 = false;
  using Ints = int32x4x2_t;
  using Floats = float32x4x2_t;
  using Narrow = int32x4x2_t;

  static Ints load(const uint8_t* at) { return {vreinterpretq_s32_u8(vld1q_u8(at)), vreinterpretq_s32_u8(vld1q_u8(at + 16))}; }
  static Floats load_floats(const uint8_t* at) {
    const float* from = reinterpret_cast<const float*>(at);
    return {vld1q_f32(from), vld1q_f32(from + 4)};
  }
  static void store(float* at, Floats x) { vst1q_f32(at, x.val[0]), vst1q_f32(at + 4, x.val[1]); }
  static int32x4_t low(int32x4_t x) { return vandq_s32(x, vdupq_n_s32(0x0f0f0f0f)); }
  static int32x4_t high(int32x4_t x) { return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(x), 4)); }
  static Ints low(Ints x) { return {low(x.val[0]), low(x.val[1])}; }
  static Ints high(Ints x) { return {high(x.val[0]), high(x.val[1])}; }
  static Ints centered(Ints x) {
    const int32x4_t top = vreinterpretq_s32_u8(vdupq_n_u8(128));
    return {veorq_s32(x.val[0], top), veorq_s32(x.val[1], top)};
  }
  static Ints spread(int32_t value) { return {vdupq_n_s32(value), vdupq_n_s32(value)}; }
  static Floats spread_float(float value) { return {vdupq_n_f32(value), vdupq_n_f32(value)}; }
  static Floats zeros() { return spread_float(0); }
  static Narrow begin(Ints dots) { return dots; }
  static void keep(Ints& x) { __asm__("" : "+w"(x.val[0]), "+w"(x.val[1])); }
  static Ints end(Ints, Narrow dots) { return dots; }
  static Ints add8(Ints sum, Ints x, Ints y) {
    const int8x16_t four = vreinterpretq_s8_s32(y.val[0]);
    return {Dot::add(sum.val[0], vreinterpretq_s8_s32(x.val[0]), four), Dot::add(sum.val[1], vreinterpretq_s8_s32(x.val[1]), four)};
  }
  static Narrow add4(Narrow sum, Ints x, Ints y) { return add8(sum, x, y); }
  static Ints subtract(Ints x, Ints y) { return {vsubq_s32(x.val[0], y.val[0]), vsubq_s32(x.val[1], y.val[1])}; }
  static Ints multiply(Ints x, Ints y) { return {vmulq_s32(x.val[0], y.val[0]), vmulq_s32(x.val[1], y.val[1])}; }
  static Floats to_floats(Ints x) { return {vcvtq_f32_s32(x.val[0]), vcvtq_f32_s32(x.val[1])}; }
  static Floats times(Floats x, Floats y) { return {vmulq_f32(x.val[0], y.val[0]), vmulq_f32(x.val[1], y.val[1])}; }
  static Floats fused(Floats x, Floats y, Floats z) {
    return {vfmaq_f32(z.val[0], x.val[0], y.val[0]), vfmaq_f32(z.val[1], x.val[1], y.val[1])};
  }
  static Floats plus(Floats x, Floats y) { return {vaddq_f32(x.val[0], y.val[0]), vaddq_f32(x.val[1], y.val[1])}; }
  static Floats larger(Floats x, Floats y) { return {vmaxq_f32(x.val[0], y.val[0]), vmaxq_f32(x.val[1], y.val[1])}; }
  static Ints rounded(Floats x) { return {vcvtnq_s32_f32(x.val[0]), vcvtnq_s32_f32(x.val[1])}; }
  static float32x4_t power_of_two(int32x4_t x) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(x, vdupq_n_s32(127)), 23)); }
  static Floats power_of_two(Ints x) { return {power_of_two(x.val[0]), power_of_two(x.val[1])}; }
  static void store_short(int16_t* at, Ints x) { vst1q_s16(at, vcombine_s16(vmovn_s32(x.val[0]), vmovn_s32(x.val[1]))); }
  static constexpr int COLUMNS = 16, TOGETHER = 4;
  struct Columns { int16x8_t even[2], odd[2]; };
  using Pair = const int16_t*;
  static Columns columns_of(const int8_t* even, const int8_t* odd) {
    const int8x16_t x = vld1q_s8(even), y = vld1q_s8(odd);
    return {{vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x)}, {vmovl_s8(vget_low_s8(y)), vmovl_high_s8(y)}};
  }
  static Pair pair_of(const int16_t* weights) { return weights; }
  static void add_columns(Ints (&sums)[2], const Columns& values, Pair weights) {
    const int16x8_t x = vdupq_n_s16(weights[0]), y = vdupq_n_s16(weights[1]);
    UNROLLED for (int part = 0; part < 2; ++part) {
      int32x4_t &low = sums[part].val[0], &high = sums[part].val[1];
      low = vmlal_s16(vmlal_s16(low, vget_low_s16(values.even[part]), vget_low_s16(x)), vget_low_s16(values.odd[part]), vget_low_s16(y));
      high = vmlal_high_s16(vmlal_high_s16(high, values.even[part], x), values.odd[part], y);
    }
  }
  static void store_columns(float* at, const Ints (&sums)[2], Floats factor) {
    store(at, times(to_floats(sums[0]), factor)), store(at + 8, times(to_floats(sums[1]), factor));
  }
  static int32_t signed_dot(const int8_t* q, const int8_t* k, size_t count) {
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t i = 0; i < count; i += 16) sum = Dot::add(sum, vld1q_s8(q + i), vld1q_s8(k + i));
    return vaddvq_s32(sum);
  }
  static void four_dots(const int8_t* q, const int8_t* k, size_t stride, size_t count, int32_t* out) {
    for (size_t t = 0; t < 4; ++t) out[t] = signed_dot(q, k + t * stride, count);
  }
};

}  // namespace
}  // namespace thinkport

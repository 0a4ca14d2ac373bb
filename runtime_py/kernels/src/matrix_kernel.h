// A packed matrix times a few rows of int8 activations, for any vector type. Each kernel set compiles it for its own.
//
// V says how a CPU does it: `rows` lanes of int32, one a matrix row, and
//   begin, add4, end    dots of 32 columns of 4-bit codes, in what is narrow enough not to overflow
//   add8, CENTER8       a dot of 4 columns of 8-bit codes, which takes codes as code - CENTER8
// One number's arithmetic is the same for every V, so that sets agree to the bit: an exact integer dot a group, then
// one fused multiply-add by group in the order of columns. A row never meets another row's numbers.
#pragma once

#include <cstring>

#include "kernel_set.h"

// Loops over rows live in registers; a loop over columns that is unrolled too needs more than there are.
#define UNROLLED _Pragma("GCC unroll 8")
#define ROLLED _Pragma("GCC unroll 1")

namespace thinkport {
namespace {

constexpr size_t BLOCK = 32;  // columns; every group is a multiple
// Bytes read ahead: far enough for memory's latency, near enough to lie in the first cache when it is needed.
constexpr size_t AHEAD = 2048;
constexpr size_t CACHED = 16 << 10;  // bytes of activations; first caches are 32 KiB and more

INLINE int32_t four(const int8_t* codes) {
  int32_t value;
  std::memcpy(&value, codes, 4);
  return value;
}

// The dots of M rows with one group of a tile.
template <class V, int M, int BITS>
INLINE void group_dots(const uint8_t* at, const int8_t* const* codes, size_t group, typename V::Ints* dots) {
  constexpr size_t step = V::rows * 4;
  for (size_t column = 0; column < group; column += BLOCK) {
    if constexpr (BITS == 4) {
      typename V::Narrow narrow[M];
      UNROLLED for (int m = 0; m < M; ++m) narrow[m] = V::begin(dots[m]);
      ROLLED for (size_t chunk = 0; chunk < BLOCK / 8; ++chunk, at += step) {
        __builtin_prefetch(at + AHEAD);
        const auto both = V::load(at);
        const auto low = V::low(both), high = V::high(both);
        UNROLLED for (int m = 0; m < M; ++m) {
          const int8_t* four_of = codes[m] + column + 8 * chunk;
          narrow[m] = V::add4(narrow[m], low, V::spread(four(four_of)));
          narrow[m] = V::add4(narrow[m], high, V::spread(four(four_of + 4)));
        }
      }
      UNROLLED for (int m = 0; m < M; ++m) dots[m] = V::end(dots[m], narrow[m]);
    } else {
      ROLLED for (size_t chunk = 0; chunk < BLOCK / 4; ++chunk, at += step) {
        __builtin_prefetch(at + AHEAD);
        const auto codes8 = V::centered(V::load(at));
        UNROLLED for (int m = 0; m < M; ++m) dots[m] = V::add8(dots[m], codes8, V::spread(four(codes[m] + column + 4 * chunk)));
      }
    }
  }
}

// One tile times M rows, which begin at `row`.
template <class V, int M, int BITS>
void tile_times(const PackedMatrix& w, size_t tile, const Activations& a, size_t row, const float* bias, float* out) {
  const uint8_t* at = w.data + tile * w.tile_bytes();
  const int8_t* codes[M];
  typename V::Floats totals[M];
  UNROLLED for (int m = 0; m < M; ++m) codes[m] = a.codes + (row + m) * a.columns, totals[m] = V::zeros();
  constexpr int32_t middle = 1 << (BITS - 1), center = BITS == 4 ? 0 : V::CENTER8;
  for (size_t g = 0; g < a.groups; ++g) {
    typename V::Ints dots[M];
    UNROLLED for (int m = 0; m < M; ++m) dots[m] = V::spread(0);
    group_dots<V, M, BITS>(at, codes, w.group, dots);
    at += w.code_bytes();
    const auto scales = V::load_floats(at);
    at += V::rows * 4;
    typename V::Ints points = V::spread(middle - center);
    if (w.points) points = V::subtract(V::load(at), V::spread(center)), at += V::rows * 4;
    UNROLLED for (int m = 0; m < M; ++m) {
      codes[m] += w.group;
      const size_t of = (row + m) * a.groups + g;
      const auto dot = V::subtract(dots[m], V::multiply(points, V::spread(a.sums[of])));
      totals[m] = V::fused(V::to_floats(dot), V::times(scales, V::spread_float(a.scales[of])), totals[m]);
    }
  }
  const size_t first = tile * V::rows, count = w.rows - first < V::rows ? w.rows - first : V::rows;
  UNROLLED for (int m = 0; m < M; ++m) {
    float values[V::rows];
    V::store(values, totals[m]);
    float* to = out + (row + m) * w.rows + first;
    for (size_t n = 0; n < count; ++n) to[n] = bias ? values[n] + bias[first + n] : values[n];
  }
}

template <class V, int BITS>
void multiply_rows(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  // So many rows, and the tile that they meet, stay in the first cache while all tiles pass by.
  const size_t fit = CACHED / w.columns / V::ROWS * V::ROWS, many = fit ? fit : V::ROWS;
  for (size_t from = 0; from < rows; from += many) {
    const size_t to = rows - from < many ? rows : from + many;
    for (size_t tile = first; tile < last; ++tile) {
      size_t row = from;
      for (; row + V::ROWS <= to; row += V::ROWS) tile_times<V, V::ROWS, BITS>(w, tile, a, row, bias, out);
      if (to - row >= 4 && V::ROWS > 4) tile_times<V, 4, BITS>(w, tile, a, row, bias, out), row += 4;
      switch (to - row) {
        case 3: tile_times<V, 3, BITS>(w, tile, a, row, bias, out); break;
        case 2: tile_times<V, 2, BITS>(w, tile, a, row, bias, out); break;
        case 1: tile_times<V, 1, BITS>(w, tile, a, row, bias, out); break;
        default: break;
      }
    }
  }
}

template <class V>
void multiply(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  if (w.bits == 4) multiply_rows<V, 4>(w, a, rows, first, last, bias, out);
  else multiply_rows<V, 8>(w, a, rows, first, last, bias, out);
}

// Written so that compilers vectorize it: the largest magnitude as an integer, rounding to even by one large addend.
void quantize(const float* values, size_t rows, size_t columns, size_t group, int8_t* codes, float* scales, int32_t* sums) {
  constexpr uint32_t not_finite = 0x7f800000;
  constexpr float rounding = 12582912.0f;  // 1.5 * 2**23: a sum with it is a whole number, which its low bits hold
  for (size_t of = 0; of < rows * (columns / group); ++of, values += group, codes += group) {
    uint32_t largest = 0;
    for (size_t i = 0; i < group; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + i, 4);
      bits &= 0x7fffffff;
      largest = bits > largest ? bits : largest;
    }
    float top;
    std::memcpy(&top, &largest, 4);
    const bool good = largest < not_finite, any = top >= 1e-30f;  // below, 127 / top is not finite: zeros
    const float inverse = good && any ? 127.0f / top : 0.0f;
    int32_t sum = 0;
    for (size_t i = 0; i < group; ++i) {
      const float shifted = (good ? values[i] : 0.0f) * inverse + rounding;
      int32_t bits;
      std::memcpy(&bits, &shifted, 4);
      const int32_t code = bits - 0x4b400000;
      codes[i] = static_cast<int8_t>(code);
      sum += code;
    }
    scales[of] = good ? (any ? top / 127.0f : 0.0f) : __builtin_nanf("");
    sums[of] = sum;
  }
}

}  // namespace
}  // namespace thinkport

// A packed matrix times a few rows of int8 activations, for any vector type. Each kernel set compiles it for its own.
//
// V says how a CPU does it: `rows` lanes of int32, one a matrix row, and
//   begin, add4, end    dots of 32 columns of 4-bit codes, in what is narrow enough not to overflow
//   add8, CENTER8       a dot of 4 columns of 8-bit codes, which takes codes as code - CENTER8
//   keep                tells compilers to hold a sum in its register: else GCC delays additions until it runs out of them
//   SPLIT8              whether many rows meet 8-bit codes faster as two halves of 4 bits
// One number's arithmetic is the same for every V, so that sets agree to the bit: an exact integer dot a group, then
// one fused multiply-add by group in the order of columns. A row never meets another row's numbers.
#pragma once

#include <cstring>

#include "kernel_set.h"
#define ROLLED _Pragma("GCC unroll 1")

namespace thinkport {
namespace {

constexpr size_t BLOCK = 32;  // columns; every group is a multiple
// Bytes read ahead: far enough for memory's latency, near enough to lie in the first cache when it is needed.
constexpr size_t AHEAD = 2048;
constexpr size_t CACHED = 16 << 10;  // bytes of activations; first caches are 32 KiB and more
constexpr size_t TILES = 2;     // that many rows meet at once: each activation, once loaded, is used twice
constexpr size_t MANY = 128;    // rows that a panel serves: their totals, and their codes of one group, stay in the first cache
constexpr size_t WIDEST = 256;  // columns of the groups that have panels; others are rare

INLINE int32_t four(const int8_t* codes) {
  int32_t value;
  std::memcpy(&value, codes, 4);
  return value;
}

// A group's share of the totals of a tile's rows: its dots by both scales.
template <class V>
INLINE typename V::Floats with_group(typename V::Floats totals, typename V::Ints dots, typename V::Floats scales, float scale) {
  return V::fused(V::to_floats(dots), V::times(scales, V::spread_float(scale)), totals);
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

// A tile's totals into one row of the product.
template <class V>
INLINE void write(const PackedMatrix& w, size_t tile, typename V::Floats totals, const float* bias, float* out) {
  const size_t first = tile * V::rows, count = w.rows - first < V::rows ? w.rows - first : V::rows;
  if (count == V::rows) {
    V::store(out + first, bias ? V::plus(totals, V::load_floats(reinterpret_cast<const uint8_t*>(bias + first))) : totals);
    return;
  }
  float values[V::rows];
  V::store(values, totals);
  for (size_t n = 0; n < count; ++n) out[first + n] = bias ? values[n] + bias[first + n] : values[n];
}

template <int M>
struct Rows { static constexpr int rows = M; };

// Rows [from, to) in blocks of a known size: of MOST while there are as many, then what is left.
template <int MOST, class Work>
INLINE void in_blocks(size_t from, size_t to, Work work) {
  for (; from + MOST <= to; from += MOST) work(Rows<MOST>(), from);
  if constexpr (MOST > 4)
    if (to - from >= 4) work(Rows<4>(), from), from += 4;
  switch (to - from) {
    case 3: if constexpr (MOST > 3) work(Rows<3>(), from); break;
    case 2: work(Rows<2>(), from); break;
    case 1: work(Rows<1>(), from); break;
    default: break;
  }
}

// One tile times M rows, which begin at `row`.
template <class V, int M, int BITS>
void tile_times(const PackedMatrix& w, size_t tile, const Activations& a, size_t row, const float* bias, float* out) {
  const uint8_t* at = w.data + tile * w.tile_bytes();
  const int8_t* codes[M];
  typename V::Floats totals[M];
  UNROLLED for (int m = 0; m < M; ++m) totals[m] = V::zeros();
  constexpr int32_t middle = 1 << (BITS - 1), center = BITS == 4 ? 0 : V::CENTER8;
  for (size_t g = 0; g < a.groups; ++g) {
    typename V::Ints dots[M];
    UNROLLED for (int m = 0; m < M; ++m) codes[m] = a.codes_of(row + m, g), dots[m] = V::spread(0);
    group_dots<V, M, BITS>(at, codes, w.group, dots);
    at += w.code_bytes();
    const auto scales = V::load_floats(at);
    at += V::rows * 4;
    typename V::Ints points = V::spread(middle - center);
    if (w.points) points = V::subtract(V::load(at), V::spread(center)), at += V::rows * 4;
    UNROLLED for (int m = 0; m < M; ++m) {
      const size_t of = a.at(row + m, g);
      const auto dot = V::subtract(dots[m], V::multiply(points, V::spread(a.sums[of])));
      totals[m] = with_group<V>(totals[m], dot, scales, a.scales[of]);
    }
  }
  UNROLLED for (int m = 0; m < M; ++m) write<V>(w, tile, totals[m], bias, out + (row + m) * w.rows);
}

// Few rows, or a single tile: codes are unpacked anew for every V::ROWS rows.
template <class V, int BITS>
void few_rows(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  // So many rows, and the tile that they meet, stay in the first cache while all tiles pass by.
  const size_t fit = CACHED / w.columns / V::ROWS * V::ROWS, many = fit ? fit : V::ROWS;
  for (size_t from = 0; from < rows; from += many) {
    const size_t to = rows - from < many ? rows : from + many;
    for (size_t tile = first; tile < last; ++tile)
      in_blocks<V::ROWS>(from, to, [&](auto block, size_t row) { tile_times<V, block.rows, BITS>(w, tile, a, row, bias, out); });
  }
}

// One group of TILES tiles, unpacked for many rows: a vector holds four columns, tiles take turns. Where 8-bit codes are
// split, all low halves lie behind all high ones.
template <class V, int BITS>
struct Panel {
  static constexpr bool SPLIT = BITS == 8 && V::SPLIT8;
  static constexpr int32_t MIDDLE = 1 << (BITS - 1), CENTER = BITS == 4 || SPLIT ? 0 : V::CENTER8;
  typename V::Ints codes[(SPLIT ? 2 : 1) * TILES * WIDEST / 4];
  typename V::Ints points[TILES];  // negative
  typename V::Floats scales[TILES];

  INLINE void unpack(const PackedMatrix& w, size_t tile, size_t g) {
    for (size_t t = 0; t < TILES; ++t) {
      const uint8_t* at = w.data + (tile + t) * w.tile_bytes() + g * w.group_bytes();
      typename V::Ints* to = codes + t;
      for (size_t column = 0; column < w.group; column += BITS == 4 ? 8 : 4, at += V::rows * 4) {
        const auto both = V::load(at);
        if constexpr (BITS == 4) to[0] = V::low(both), to[TILES] = V::high(both), to += 2 * TILES;
        else if constexpr (SPLIT) to[0] = V::high(both), to[TILES * w.group / 4] = V::low(both), to += TILES;
        else to[0] = V::centered(both), to += TILES;
      }
      scales[t] = V::load_floats(at);
      points[t] = w.points ? V::subtract(V::spread(CENTER), V::load(at + V::rows * 4)) : V::spread(CENTER - MIDDLE);
    }
  }
};

// Adds the dots of M rows with codes of a panel.
template <class V, int M, bool NIBBLES>
INLINE void panel_dots(const typename V::Ints* panel, const int8_t* const* codes, size_t group, typename V::Ints (*dots)[TILES]) {
  for (size_t column = 0; column < group; column += BLOCK) {
    if constexpr (NIBBLES) {
      typename V::Narrow narrow[M][TILES];
      UNROLLED for (int m = 0; m < M; ++m) UNROLLED for (size_t t = 0; t < TILES; ++t) narrow[m][t] = V::begin(dots[m][t]);
      UNROLLED for (size_t at = column; at != column + BLOCK; at += 4, panel += TILES) {
        typename V::Ints both[TILES];
        UNROLLED for (size_t t = 0; t < TILES; ++t) both[t] = panel[t];
        UNROLLED for (int m = 0; m < M; ++m) {
          const auto values = V::spread(four(codes[m] + at));
          UNROLLED for (size_t t = 0; t < TILES; ++t) narrow[m][t] = V::add4(narrow[m][t], both[t], values), V::keep(narrow[m][t]);
        }
      }
      UNROLLED for (int m = 0; m < M; ++m) UNROLLED for (size_t t = 0; t < TILES; ++t) dots[m][t] = V::end(dots[m][t], narrow[m][t]);
    } else {
      ROLLED for (size_t at = column; at < column + BLOCK; at += 4, panel += TILES)
        UNROLLED for (int m = 0; m < M; ++m) {
          const auto values = V::spread(four(codes[m] + at));
          UNROLLED for (size_t t = 0; t < TILES; ++t) dots[m][t] = V::add8(dots[m][t], panel[t], values), V::keep(dots[m][t]);
        }
    }
  }
}

// M rows, which begin at `row`, times a panel, the tiles' group g.
template <class V, int M, int BITS>
INLINE void panel_times(const Panel<V, BITS>& panel, const PackedMatrix& w, const Activations& a, size_t row, size_t g, typename V::Floats (*totals)[TILES]) {
  const size_t of = a.at(row, g);
  const int8_t* codes[M];
  typename V::Ints dots[M][TILES];
  UNROLLED for (int m = 0; m < M; ++m) codes[m] = a.codes_of(row + m, g);
  const auto starts = [&](int m, size_t t) { return V::multiply(panel.points[t], V::spread(a.sums[of + m])); };
  if constexpr (Panel<V, BITS>::SPLIT) {
    UNROLLED for (int m = 0; m < M; ++m) UNROLLED for (size_t t = 0; t < TILES; ++t) dots[m][t] = V::spread(0);
    panel_dots<V, M, true>(panel.codes, codes, w.group, dots);
    UNROLLED for (int m = 0; m < M; ++m)
      UNROLLED for (size_t t = 0; t < TILES; ++t) dots[m][t] = V::subtract(V::multiply(dots[m][t], V::spread(16)), V::subtract(V::spread(0), starts(m, t)));
    panel_dots<V, M, true>(panel.codes + TILES * w.group / 4, codes, w.group, dots);
  } else {
    UNROLLED for (int m = 0; m < M; ++m) UNROLLED for (size_t t = 0; t < TILES; ++t) dots[m][t] = starts(m, t);
    panel_dots<V, M, BITS == 4>(panel.codes, codes, w.group, dots);
  }
  UNROLLED for (int m = 0; m < M; ++m)
    UNROLLED for (size_t t = 0; t < TILES; ++t)
      totals[m][t] = with_group<V>(totals[m][t], dots[m][t], panel.scales[t], a.scales[of + m]);
}

// Many rows times TILES tiles: a group of the tiles is unpacked once, and rows pass by.
template <class V, int BITS>
void many_rows(const PackedMatrix& w, const Activations& a, size_t from, size_t to, size_t tile, const float* bias, float* out) {
  typename V::Floats totals[MANY][TILES];
  Panel<V, BITS> panel;
  for (size_t row = 0; row < to - from; ++row)
    for (size_t t = 0; t < TILES; ++t) totals[row][t] = V::zeros();
  for (size_t g = 0; g < a.groups; ++g) {
    panel.unpack(w, tile, g);
    in_blocks<V::ROWS>(from, to, [&](auto block, size_t row) {
      panel_times<V, block.rows, BITS>(panel, w, a, row, g, totals + (row - from));
    });
  }
  for (size_t row = from; row < to; ++row)
    for (size_t t = 0; t < TILES; ++t) write<V>(w, tile + t, totals[row - from][t], bias, out + row * w.rows);
}

template <class V, int BITS>
void multiply_rows(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  const size_t paired = rows < 2 * V::ROWS || w.group > WIDEST ? first : last - (last - first) % TILES;
  for (size_t from = 0; from < rows && first < paired; from += MANY) {
    const size_t to = rows - from < MANY ? rows : from + MANY;
    for (size_t tile = first; tile < paired; tile += TILES) many_rows<V, BITS>(w, a, from, to, tile, bias, out);
  }
  few_rows<V, BITS>(w, a, rows, paired, last, bias, out);
}

template <class V>
void multiply(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  if (w.bits == 4) multiply_rows<V, 4>(w, a, rows, first, last, bias, out);
  else multiply_rows<V, 8>(w, a, rows, first, last, bias, out);
}

// Written so that compilers vectorize it: the largest magnitude as an integer, rounding to even by one large addend.
void quantize(const float* values, size_t rows, size_t columns, size_t group, size_t all, int8_t* to, float* scales, int32_t* sums) {
  constexpr uint32_t not_finite = 0x7f800000;
  constexpr float rounding = 12582912.0f;  // 1.5 * 2**23: a sum with it is a whole number, which its low bits hold
  for (size_t one = 0, groups = columns / group; one < rows * groups; ++one, values += group) {
    const size_t of = one % groups * all + one / groups;
    int8_t* codes = to + of * group;
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

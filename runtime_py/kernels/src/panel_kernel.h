// A packed matrix times many rows, for CPUs whose instructions multiply several rows at once (AMX, ARM's smmla).
//
// The groups of a tile are unpacked once into panels of signed bytes, which all rows then share. A block of rows stays in
// registers while the panels pass by. P says how a CPU does it:
//   V                    the vector of matrix_kernel.h, which takes the same tiles
//   ROWS                 rows of activations that are multiplied at once: 8 or 16
//   begin, end           before and after products of blocks of so many rows and groups of so many columns
//   less                 bytes less bytes
//   put                  eight columns of a tile into the panel, in the order in which `start` reads them
//   start<N>, take<N>    exact dots of a block of rows with a panel, (rows, V::rows) int32: they are in memory after
//                        `take`, and both may be under way for N = 0 and 1
// Zero points are subtracted from 4-bit codes in the panel. 8-bit codes less their points need nine bits: they are
// taken less 128, and the rest is subtracted from the dot. Both are exact, and what follows is matrix_kernel.h's
// arithmetic, so that results are the same to the bit.
#pragma once

#include "matrix_kernel.h"

namespace thinkport {
namespace {

constexpr int LEAST_ROWS = 8;  // for fewer, a panel is not read often enough to be worth its making
constexpr size_t SECOND_CACHE = size_t{512} << 10;  // bytes of activations that stay there while tiles pass by

constexpr size_t PANELS = 1024;  // columns of a tile that have panels at once: they and a block of rows stay in the first cache

INLINE size_t quotient_up(size_t n, size_t by) { return (n + by - 1) / by; }

template <class P, int BITS>
INLINE void unpack(const uint8_t* at, size_t group, typename P::V::Ints middle, int8_t* panel) {
  using V = typename P::V;
  constexpr size_t step = V::rows * 4;
  for (size_t column = 0; column < group; column += 8, panel += 2 * step) {
    __builtin_prefetch(at + AHEAD);
    const auto first = V::load(at);
    if constexpr (BITS == 4) {
      P::put(panel, P::less(V::low(first), middle), P::less(V::high(first), middle));
    } else {
      P::put(panel, P::less(first, middle), P::less(V::load(at + step), middle));
      at += step;
    }
    at += step;
  }
}

// Rows [first, first + count) in blocks of one size, the last of which may begin within the one before it: its rows are
// then computed twice, alike. There are at least as many as a block has.
template <int ROWS>
struct Blocks {
  size_t first, count;
  INLINE size_t end() const { return quotient_up(count, ROWS); }
  INLINE size_t at(size_t block) const { return first + ((block + 1) * ROWS <= count ? block * ROWS : count - ROWS); }
};

// Groups [from, to) of a tile, whose panels lie one behind the other, added to the totals of a block of rows.
template <class P, int BITS, int ROWS>
INLINE void block_times(const PackedMatrix& w, const uint8_t* tile, const int8_t* panels, const Activations& a, size_t row, size_t from, size_t to,
                        typename P::V::Floats (&totals)[ROWS]) {
  using V = typename P::V;
  alignas(64) int32_t dots[2][ROWS * V::rows];
  const auto start = [&](size_t g) {
    const int8_t* panel = panels + (g - from) * w.group * V::rows;
    if (g % 2) P::template start<1, ROWS>(panel, a.codes_of(row, g), w.group, dots[1]);
    else P::template start<0, ROWS>(panel, a.codes_of(row, g), w.group, dots[0]);
  };
  start(from);
  for (size_t g = from; g < to; ++g) {
    if (g + 1 < to) start(g + 1);
    if (g % 2) P::template take<1>(dots[1]);
    else P::template take<0>(dots[0]);
    const uint8_t* beside = tile + g * w.group_bytes() + w.code_bytes();
    const auto scales = V::load_floats(beside);
    typename V::Ints rest = V::spread(0);
    if (BITS == 8 && w.points) rest = V::subtract(V::load(beside + V::rows * 4), V::spread(128));
    const size_t of = a.at(row, g);
    UNROLLED16 for (size_t m = 0; m < ROWS; ++m) {
      auto dot = V::load(reinterpret_cast<const uint8_t*>(dots[g % 2] + m * V::rows));
      if (BITS == 8 && w.points) dot = V::subtract(dot, V::multiply(rest, V::spread(a.sums[of + m])));
      totals[m] = with_group<V>(totals[m], dot, scales, a.scales[of + m]);
    }
  }
}

// One tile times blocks of rows, as many groups at a time as have panels.
template <class P, int BITS, int ROWS>
void tile_times_blocks(const PackedMatrix& w, size_t tile, const Activations& a, const Blocks<ROWS>& of, const float* bias, float* out) {
  using V = typename P::V;
  alignas(64) int8_t panels[PANELS * V::rows];
  alignas(64) float kept[(MANY + ROWS) * V::rows];
  const uint8_t* data = w.data + tile * w.tile_bytes();
  const size_t most = PANELS / w.group;
  for (size_t from = 0; from < a.groups; from += most) {
    const size_t to = a.groups - from < most ? a.groups : from + most;
    for (size_t g = from; g < to; ++g) {
      const uint8_t* at = data + g * w.group_bytes();
      const auto middle = BITS == 8 ? V::spread(128) : w.points ? V::load(at + w.code_bytes() + V::rows * 4) : V::spread(8);
      unpack<P, BITS>(at, w.group, V::multiply(middle, V::spread(0x01010101)), panels + (g - from) * w.group * V::rows);
    }
    for (size_t block = 0; block < of.end(); ++block) {
      typename V::Floats totals[ROWS];
      const auto keep = [&](size_t m) { return kept + (block * ROWS + m) * V::rows; };
      UNROLLED16 for (size_t m = 0; m < ROWS; ++m) totals[m] = from ? V::load_floats(reinterpret_cast<const uint8_t*>(keep(m))) : V::zeros();
      const size_t row = of.at(block);
      block_times<P, BITS, ROWS>(w, data, panels, a, row, from, to, totals);
      UNROLLED16 for (size_t m = 0; m < ROWS; ++m) {
        if (to < a.groups) V::store(keep(m), totals[m]);
        else write<V>(w, tile, totals[m], bias, out + (row + m) * w.rows);
      }
    }
  }
}

template <class P, int ROWS>
void tiles_times_blocks(const PackedMatrix& w, const Activations& a, const Blocks<ROWS>& of, size_t first, size_t last, const float* bias, float* out) {
  P::template begin<ROWS>(w.group);
  for (size_t tile = first; tile < last; ++tile) {
    if (w.bits == 4) tile_times_blocks<P, 4, ROWS>(w, tile, a, of, bias, out);
    else tile_times_blocks<P, 8, ROWS>(w, tile, a, of, bias, out);
  }
  P::end();
}

template <class P>
void multiply_blocks(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  if (rows < LEAST_ROWS || w.group > PANELS) return multiply<typename P::V>(w, a, rows, first, last, bias, out);
  const size_t fit = SECOND_CACHE / w.columns, most = fit < 2 * LEAST_ROWS ? 2 * LEAST_ROWS : fit < MANY ? fit : MANY;
  const size_t parts = quotient_up(rows, most);
  for (size_t part = 0; part < parts; ++part) {
    const size_t from = rows * part / parts, count = rows * (part + 1) / parts - from;
    if (count < P::ROWS) tiles_times_blocks<P, LEAST_ROWS>(w, a, {from, count}, first, last, bias, out);
    else tiles_times_blocks<P, P::ROWS>(w, a, {from, count}, first, last, bias, out);
  }
}

}  // namespace
}  // namespace thinkport

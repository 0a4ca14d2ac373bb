// A packed matrix times many rows, for CPUs whose instructions multiply several rows at once (AMX, ARM's smmla).
//
// A group of a tile is unpacked into a panel of signed bytes, which all rows then share. P says how a CPU does it:
//   V                    the vector of matrix_kernel.h, which takes the same tiles
//   ROWS                 rows of activations that are multiplied at once, at most
//   begin, end           before and after products of blocks of so many rows and groups of so many columns
//   less                 bytes less bytes
//   put                  eight columns of a tile into the panel, in the order in which `dots` reads them
//   dots                 exact dots of a block of rows with the panel: (rows, V::rows) int32
// Zero points are subtracted from 4-bit codes in the panel. 8-bit codes less their points need nine bits: they are
// taken less 128, and the rest is subtracted from the dot. Both are exact, and what follows is matrix_kernel.h's
// arithmetic, so that results are the same to the bit.
#pragma once

#include "matrix_kernel.h"

namespace thinkport {
namespace {

constexpr size_t LEAST_ROWS = 8;  // for fewer, a panel is not read often enough to be worth its making
constexpr size_t SECOND_CACHE = size_t{512} << 10;  // bytes of activations that stay there while tiles pass by

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
// then computed twice, alike.
struct Blocks {
  size_t first, count, blocks, rows;
  INLINE Blocks(size_t first, size_t count, size_t most)
      : first(first), count(count), blocks(quotient_up(count, most)), rows(quotient_up(count, blocks)) {}
  INLINE size_t at(size_t block) const { return first + (block + 1 < blocks ? block * rows : count - rows); }
};

template <class P, int BITS>
void tile_times_blocks(const PackedMatrix& w, size_t tile, const Activations& a, const Blocks& of, const float* bias, float* out) {
  using V = typename P::V;
  alignas(64) int8_t panel[WIDEST * V::rows];
  alignas(64) int32_t dots[P::ROWS * V::rows];
  alignas(64) float totals[(MANY + MANY / P::ROWS) * V::rows];
  for (size_t slot = 0; slot < of.blocks * of.rows; ++slot) V::store(totals + slot * V::rows, V::zeros());
  const uint8_t* at = w.data + tile * w.tile_bytes();
  for (size_t g = 0; g < a.groups; ++g, at += w.group_bytes()) {
    const uint8_t* beside = at + w.code_bytes();
    const auto scales = V::load_floats(beside);
    const auto points = w.points ? V::load(beside + V::rows * 4) : V::spread(1 << (BITS - 1));
    const auto rest = V::subtract(points, V::spread(128));  // 8 bits only
    unpack<P, BITS>(at, w.group, V::multiply(BITS == 4 ? points : V::spread(128), V::spread(0x01010101)), panel);
    float* total = totals;
    for (size_t block = 0; block < of.blocks; ++block) {
      const size_t row = of.at(block);
      P::dots(panel, a.codes + row * a.columns + g * w.group, a.columns, w.group, of.rows, dots);
      for (size_t m = 0; m < of.rows; ++m, total += V::rows) {
        const size_t one = (row + m) * a.groups + g;
        auto dot = V::load(reinterpret_cast<const uint8_t*>(dots + m * V::rows));
        if (BITS == 8 && w.points) dot = V::subtract(dot, V::multiply(rest, V::spread(a.sums[one])));
        const auto before = V::load_floats(reinterpret_cast<const uint8_t*>(total));
        V::store(total, with_group<V>(before, dot, scales, a.scales[one]));
      }
    }
  }
  const float* total = totals;
  for (size_t block = 0; block < of.blocks; ++block)
    for (size_t m = 0; m < of.rows; ++m, total += V::rows)
      write<V>(w, tile, V::load_floats(reinterpret_cast<const uint8_t*>(total)), bias, out + (of.at(block) + m) * w.rows);
}

template <class P>
void multiply_blocks(const PackedMatrix& w, const Activations& a, size_t rows, size_t first, size_t last, const float* bias, float* out) {
  if (rows < LEAST_ROWS || w.group > WIDEST) return multiply<typename P::V>(w, a, rows, first, last, bias, out);
  const size_t fit = SECOND_CACHE / w.columns, most = fit < LEAST_ROWS ? LEAST_ROWS : fit < MANY ? fit : MANY;
  const size_t parts = quotient_up(rows, most);
  for (size_t part = 0; part < parts; ++part) {
    const size_t from = rows * part / parts, to = rows * (part + 1) / parts;
    const Blocks blocks(from, to - from, P::ROWS);
    P::begin(blocks.rows, w.group);
    for (size_t tile = first; tile < last; ++tile) {
      if (w.bits == 4) tile_times_blocks<P, 4>(w, tile, a, blocks, bias, out);
      else tile_times_blocks<P, 8>(w, tile, a, blocks, bias, out);
    }
    P::end();
  }
}

}  // namespace
}  // namespace thinkport

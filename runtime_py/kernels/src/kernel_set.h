// What a kernel set offers: the same functions, compiled for one kind of CPU, with the same results to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

// Files of this library are compiled for different CPUs, and a linker keeps one copy of a function that several files
// have. What a header defines is therefore always inlined, or in no other file's reach: else the kept copy could hold
// instructions that this CPU lacks.
#define INLINE inline __attribute__((always_inline))

// Loops over rows live in registers; a loop over columns that is unrolled too needs more than there are.
#define UNROLLED _Pragma("GCC unroll 8")
#define UNROLLED16 _Pragma("GCC unroll 16")

namespace thinkport {

// Rows of activations as int8, each group of columns with its own scale. A group of all rows lies together, since that
// is what meets a panel of a matrix: rows of a KiB or so would share a few lines of the first cache.
struct Activations {
  const int8_t* codes;   // (groups, all, group)
  const float* scales;   // (groups, all)
  const int32_t* sums;   // (groups, all) of the group's codes
  size_t groups, group, all;

  INLINE size_t at(size_t row, size_t g) const { return g * all + row; }
  INLINE const int8_t* codes_of(size_t row, size_t g) const { return codes + at(row, g) * group; }
  INLINE Activations from(size_t row) const { return {codes + row * group, scales + row, sums + row, groups, group, all}; }
};

// A matrix of 4- or 8-bit codes in tiles of as many rows as a kernel set computes at once.
//
// A tile's groups lie one behind the other. A group is chunks of 4 bytes a row: 8 columns in 4 bits, those 0-3 in the
// low nibbles and 4-7 in the high ones, or 4 columns in 8 bits. Behind them lie the rows' scales (float32) and, if the
// matrix has any, their zero points (int32). Rows beyond the matrix's last are zeros.
struct PackedMatrix {
  size_t rows, columns, group;
  int bits;
  bool points;
  size_t tile_rows;
  uint8_t* data;

  INLINE size_t groups() const { return columns / group; }
  INLINE size_t code_bytes() const { return tile_rows * group * bits / 8; }
  INLINE size_t group_bytes() const { return code_bytes() + tile_rows * (points ? 8 : 4); }
  INLINE size_t tile_bytes() const { return groups() * group_bytes(); }
  INLINE size_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  INLINE size_t bytes() const { return tiles() * tile_bytes(); }
};

// Some queries of one KV head over a span of its tokens.
//
// A token's row in the cache is `width` codes of int8 and behind them their scale, float32; a stride apart. Query n has
// `width` codes at codes + n * width and the scale scales[n], which holds the scale of scores too; it sees the span's
// first seen[n] tokens.
struct Span {
  const int8_t* codes;
  const float* scales;
  const size_t* seen;
  size_t queries;  // at most QUERIES, whose dots are computed in parts
  const int8_t* keys;
  const int8_t* values;
  size_t width;

  static constexpr size_t QUERIES = 64, PART = 16;
  static constexpr size_t TOKENS = 256;  // a span; spans begin at multiples of it, whatever the step and its threads

  INLINE size_t stride() const { return width + 4; }
};

// What a query found in the spans so far: the largest score, the sum of weights, and `width` sums of weighted values.
struct Found {
  float top, sum;
  float* values;
};

struct KernelSet {
  const char* name;
  bool (*runs_here)();
  size_t tile_rows;  // 8 or 16
  // Codes, scales and sums of `rows` rows of `all`; a group with a value that is not finite gets a scale of NaN.
  void (*quantize)(const float* values, size_t rows, size_t columns, size_t group, size_t all, int8_t* codes, float* scales, int32_t* sums);
  // out[r][n] for rows [0, rows) and the matrix's rows n of tiles [first, last), plus bias[n] if there is one.
  void (*multiply)(const PackedMatrix&, const Activations&, size_t rows, size_t first, size_t last, const float* bias, float* out);
  // What each query finds in a span alone, into found[n].
  void (*attend)(const Span& span, Found* found);
  // Asks the system for what it gives only to processes that ask; false where it refuses. Null where nothing has to be.
  bool (*allowed)() = nullptr;
};

// Best first; the scalar one, which runs everywhere, last.
const KernelSet* const* kernel_sets(size_t* count);
// The set of that name if it runs here and the system allows it, the best that does for "auto", else null.
const KernelSet* find_set(const char* name);

// The same of other sets, best first.
INLINE const KernelSet* find_set(const KernelSet* const* sets, size_t count, const char* name) {
  const bool any = std::strcmp(name, "auto") == 0;
  for (size_t i = 0; i < count; ++i) {
    const KernelSet& set = *sets[i];
    if ((any || std::strcmp(name, set.name) == 0) && set.runs_here() && (!set.allowed || set.allowed())) return &set;
  }
  return nullptr;
}

}  // namespace thinkport

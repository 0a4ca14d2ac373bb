// AMX: tiles of 16 rows of 64 bytes, and their products (Intel's manual, volume 1, chapter 18). Intel's servers from
// Sapphire Rapids (2023) on. Few rows are multiplied as by AVX-512 with VNNI.
//
// A tile of activations is 16 rows of 64 columns as they lie in memory. The other operand has four columns of 16 rows of
// the matrix in each of its rows, and that is the order in which a matrix is packed.
//
// Of attention, up to 16 queries meet a span at once: keys are one operand as they lie in the cache, and the queries are
// brought into the order of the other; weights of int16 are two operands of bytes, and values, interleaved once for up to
// 64 queries, the other one.
#include "avx512_vector.h"
#include "cpu_features.h"
#include "panel_kernel.h"

namespace thinkport {
namespace {

// What LDTILECFG reads: bytes a row and rows of each tile.
struct TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

// Compilers see in the tile instructions neither the memory that they read nor, of their configuration, more than eight
// bytes: what was stored has to be in memory, of an object whose address is known to be taken.
INLINE void stored(const void* object) { __asm__ volatile("" : : "r"(object) : "memory"); }

void configure(const TileShapes& shapes) {
  stored(&shapes);
  _tile_loadconfig(&shapes);
}

struct Amx {
  using V = Avx512Vnni;
  static constexpr int ROWS = 16;
  static constexpr uint16_t LANES = 64;  // bytes of a row of the panel and of the dots: 16 rows of the matrix

  static size_t columns(size_t group) { return group % 64 == 0 ? 64 : 32; }
  // Tiles 0 and 1 have dots, 2 activations, 3 a panel.
  template <int ROWS>
  static void begin(size_t group) {
    TileShapes shapes;
    const uint16_t width = static_cast<uint16_t>(columns(group));
    for (int tile = 0; tile < 3; ++tile) shapes.rows[tile] = ROWS, shapes.row_bytes[tile] = tile < 2 ? LANES : width;
    shapes.rows[3] = static_cast<uint8_t>(width / 4), shapes.row_bytes[3] = LANES;
    configure(shapes);
  }
  static void end() { _tile_release(); }
  static V::Ints less(V::Ints x, V::Ints y) { return _mm512_sub_epi8(x, y); }
  static void put(int8_t* panel, V::Ints x, V::Ints y) { _mm512_storeu_si512(panel, x), _mm512_storeu_si512(panel + LANES, y); }
  template <int N, int ROWS>
  INLINE static void start(const int8_t* panel, const int8_t* codes, size_t group, int32_t*) {
    stored(panel);
    if (N) _tile_zero(1);
    else _tile_zero(0);
    for (size_t column = 0, width = columns(group); column < group; column += width) {
      _tile_loadd(2, codes + column, group);
      _tile_loadd(3, panel + column / 4 * LANES, LANES);
      if (N) _tile_dpbssd(1, 2, 3);
      else _tile_dpbssd(0, 2, 3);
    }
  }
  template <int N>
  INLINE static void take(int32_t* to) {
    if (N) _tile_stored(1, to, LANES);
    else _tile_stored(0, to, LANES);
    stored(to);
  }
};

struct ByTiles {
  using V = Avx512Vnni;
  static constexpr size_t FEW = 4;                // as many queries are worked on by vectors
  static constexpr size_t ROWS = 16, BYTES = 64;  // of a tile
  using Panel = int8_t[Span::TOKENS / 4][BYTES];

  // Tile 0 has dots, 1 keys and 2 queries.
  static void begin_dots(size_t piece) {
    TileShapes shapes;
    for (int tile = 0; tile < 3; ++tile) shapes.rows[tile] = ROWS, shapes.row_bytes[tile] = BYTES;
    shapes.row_bytes[1] = static_cast<uint16_t>(piece), shapes.rows[2] = static_cast<uint8_t>(piece / 4);
    configure(shapes);
  }

  static void dots(const Span& span, size_t tokens, int32_t (*dots)[Span::TOKENS]) {
    if (span.queries <= FEW) return vector_dots<V>(span, tokens, dots);
    constexpr size_t MOST_WIDTH = 512;
    alignas(64) int32_t queries[MOST_WIDTH / 4][ROWS], found[ROWS][ROWS];  // what no query has is not read
    int8_t last[ROWS * MOST_WIDTH];
    const size_t width = span.width, piece = width % BYTES == 0 ? BYTES : BYTES / 2;
    for (size_t n = 0; n < span.queries; ++n)
      for (size_t four = 0; four < width / 4; ++four) std::memcpy(&queries[four][n], span.codes + n * width + 4 * four, 4);
    begin_dots(piece);
    for (size_t token = 0; token < tokens; token += ROWS) {
      const int8_t* keys = span.keys + token * span.stride();
      size_t stride = span.stride();
      if (tokens - token < ROWS) {  // nothing behind a cache is read
        std::memset(last, 0, ROWS * width);
        for (size_t row = 0; row < tokens - token; ++row) std::memcpy(last + row * width, keys + row * stride, width);
        keys = last, stride = width;
      }
      for (size_t line = 0; line < ROWS * span.stride(); line += 64) {
        __builtin_prefetch(span.keys + (token + ROWS) * span.stride() + line);
        __builtin_prefetch(span.values + token * span.stride() + line);
      }
      stored(keys), stored(queries);
      _tile_zero(0);
      for (size_t column = 0; column < width; column += piece) {
        _tile_loadd(1, keys + column, stride);
        _tile_loadd(2, queries[column / 4], BYTES);
        _tile_dpbssd(0, 1, 2);
      }
      _tile_stored(0, found, BYTES);
      stored(found);
      turned(found, dots, token);
    }
    _tile_release();
  }

  // Dots of 16 tokens with 16 queries become those of 16 queries with 16 tokens.
  static void turned(const int32_t (*from)[ROWS], int32_t (*to)[Span::TOKENS], size_t token) {
    V::Ints x[ROWS], y[ROWS];
    UNROLLED for (size_t i = 0; i < ROWS; ++i) x[i] = _mm512_loadu_si512(from[i]);
    UNROLLED for (size_t i = 0; i < ROWS; i += 2) y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]), y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    UNROLLED for (size_t i = 0; i < ROWS; i += 4)
      UNROLLED for (size_t half = 0; half < 2; ++half) {
        x[i + 2 * half] = _mm512_unpacklo_epi64(y[i + half], y[i + half + 2]);
        x[i + 2 * half + 1] = _mm512_unpackhi_epi64(y[i + half], y[i + half + 2]);
      }
    // x[i + k] has query 4 lane + k of tokens i to i + 3 in each lane of 128 bits.
    UNROLLED for (size_t k = 0; k < 4; ++k) {
      const V::Ints even = _mm512_shuffle_i32x4(x[k], x[k + 4], 0x88), odd = _mm512_shuffle_i32x4(x[k], x[k + 4], 0xdd);
      const V::Ints even8 = _mm512_shuffle_i32x4(x[k + 8], x[k + 12], 0x88), odd8 = _mm512_shuffle_i32x4(x[k + 8], x[k + 12], 0xdd);
      _mm512_storeu_si512(to[k] + token, _mm512_shuffle_i32x4(even, even8, 0x88));
      _mm512_storeu_si512(to[4 + k] + token, _mm512_shuffle_i32x4(odd, odd8, 0x88));
      _mm512_storeu_si512(to[8 + k] + token, _mm512_shuffle_i32x4(even, even8, 0xdd));
      _mm512_storeu_si512(to[12 + k] + token, _mm512_shuffle_i32x4(odd, odd8, 0xdd));
    }
  }

  // Tiles 0 to 3 have sums, 4 and 5 the high and low bytes of weights, 6 and 7 values. Values are interleaved, four tokens
  // of a column in a row, in four panels: panel q has columns 4 q to 4 q + 3 of each 16.
  static void sum(const Span& span, const Weights* weights, size_t tokens, Found* found) {
    if (span.queries <= FEW) return ByVectors<V>::sum(span, weights, tokens, found);
    alignas(64) int8_t high[Span::QUERIES][Span::TOKENS];  // what no query has is not read
    alignas(64) uint8_t low[Span::QUERIES][Span::TOKENS];
    alignas(64) int8_t panels[4][Span::TOKENS / 4][BYTES];
    alignas(64) int32_t sums[4][ROWS][ROWS];
    const size_t ends = (tokens + BYTES - 1) / BYTES * BYTES;
    for (size_t n = 0; n < span.queries; ++n)
      for (size_t token = 0; token < ends; token += 32) {
        const V::Ints codes = _mm512_load_si512(weights[n].codes + token);
        _mm256_store_si256(reinterpret_cast<__m256i*>(low[n] + token), _mm512_cvtepi16_epi8(codes));
        _mm256_store_si256(reinterpret_cast<__m256i*>(high[n] + token), _mm512_cvtepi16_epi8(_mm512_srli_epi16(codes, 8)));
      }
    TileShapes shapes;
    const size_t rows = span.queries < ROWS ? span.queries : ROWS;
    for (int tile = 0; tile < 8; ++tile) shapes.rows[tile] = static_cast<uint8_t>(tile < 6 ? rows : ROWS), shapes.row_bytes[tile] = BYTES;
    configure(shapes);
    for (size_t column = 0; column < span.width; column += BYTES) {
      interleave(span, tokens, ends, column, panels);
      stored(high), stored(low), stored(panels);
      for (size_t first = 0; first < span.queries; first += ROWS)
        for (size_t q = 0; q < 4; q += 2) {
          sum_panels(panels[q], panels[q + 1], high[first], low[first], ends, sums);
          for (size_t n = 0; n < ROWS && first + n < span.queries; ++n) {
            const V::Floats factor = V::spread_float(weights[first + n].factor);
            float* to = found[first + n].values + column + 4 * q;
            put(to, sums[0][n], sums[1][n], factor, span.width - column);
            put(to + 4, sums[2][n], sums[3][n], factor, span.width - column);
          }
        }
    }
    _tile_release();
  }

  INLINE static void sum_panels(const Panel& x, const Panel& y, const int8_t* high, const uint8_t* low, size_t tokens, int32_t (*sums)[ROWS][ROWS]) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t token = 0; token < tokens; token += BYTES) {
      _tile_loadd(4, high + token, Span::TOKENS);
      _tile_loadd(6, x[token / 4], BYTES);
      _tile_dpbssd(0, 4, 6);
      _tile_loadd(5, low + token, Span::TOKENS);
      _tile_dpbusd(1, 5, 6);
      _tile_loadd(7, y[token / 4], BYTES);
      _tile_dpbssd(2, 4, 7);
      _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, sums[0], BYTES);
    _tile_stored(1, sums[1], BYTES);
    _tile_stored(2, sums[2], BYTES);
    _tile_stored(3, sums[3], BYTES);
    stored(sums);
  }

  // Sums of high and low bytes, in fours of columns that lie 16 apart.
  INLINE static void put(float* to, const int32_t* high, const int32_t* low, V::Floats factor, size_t columns) {
    const V::Ints both = _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(high), 8), _mm512_load_si512(low));
    const V::Floats x = V::times(V::to_floats(both), factor);
    _mm_storeu_ps(to, _mm512_castps512_ps128(x)), _mm_storeu_ps(to + 16, _mm512_extractf32x4_ps(x, 1));
    if (columns > 32) _mm_storeu_ps(to + 32, _mm512_extractf32x4_ps(x, 2)), _mm_storeu_ps(to + 48, _mm512_extractf32x4_ps(x, 3));
  }

  INLINE static void interleave(const Span& span, size_t tokens, size_t ends, size_t column, Panel* panels) {
    const __mmask64 there = span.width - column < BYTES ? 0xffffffff : ~__mmask64{0};
    const auto four = [&](size_t token, size_t left) __attribute__((always_inline)) {
      V::Ints x[4];
      const int8_t* at = span.values + token * span.stride() + column;
      UNROLLED for (size_t i = 0; i < 4; ++i) x[i] = i < left ? _mm512_maskz_loadu_epi8(there, at + i * span.stride()) : V::spread(0);
      const V::Ints first = _mm512_unpacklo_epi8(x[0], x[1]), second = _mm512_unpackhi_epi8(x[0], x[1]);
      const V::Ints third = _mm512_unpacklo_epi8(x[2], x[3]), fourth = _mm512_unpackhi_epi8(x[2], x[3]);
      _mm512_store_si512(panels[0][token / 4], _mm512_unpacklo_epi16(first, third));
      _mm512_store_si512(panels[1][token / 4], _mm512_unpackhi_epi16(first, third));
      _mm512_store_si512(panels[2][token / 4], _mm512_unpacklo_epi16(second, fourth));
      _mm512_store_si512(panels[3][token / 4], _mm512_unpackhi_epi16(second, fourth));
    };
    size_t token = 0;
    for (; token + 4 <= tokens; token += 4) four(token, 4);
    for (; token < ends; token += 4) four(token, token < tokens ? tokens - token : 0);
  }
};

bool runs_here() { return cpu_features().avx512_vnni && cpu_features().amx; }

}  // namespace

extern const KernelSet AMX;
const KernelSet AMX = {"amx", runs_here, Avx512Vnni::rows, quantize, multiply_blocks<Amx>, attend<Avx512Vnni, ByTiles>, allow_tiles};

}  // namespace thinkport

// AMX: tiles of 16 rows of 64 bytes, and their products (Intel's manual, volume 1, chapter 18). Intel's servers from
// Sapphire Rapids (2023) on. Few rows are multiplied as by AVX-512 with VNNI.
//
// A tile of activations is 16 rows of 64 columns as they lie in memory. The other operand has four columns of 16 rows of
// the matrix in each of its rows, and that is the order in which a matrix is packed.
//
// Of attention, the dots of up to 16 queries with a span are computed at once: keys are one operand as they lie in the
// cache, and the queries are brought into the order of the other.
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
    stored(&shapes);
    _tile_loadconfig(&shapes);
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

struct AmxAttention {
  using V = Avx512Vnni;
  static constexpr size_t LEAST = 5;
  static constexpr size_t ROWS = 16, BYTES = 64;  // of a tile

  // Tile 0 has dots, 1 keys and 2 queries.
  static void begin(size_t piece) {
    TileShapes shapes;
    for (int tile = 0; tile < 3; ++tile) shapes.rows[tile] = ROWS, shapes.row_bytes[tile] = BYTES;
    shapes.row_bytes[1] = static_cast<uint16_t>(piece), shapes.rows[2] = static_cast<uint8_t>(piece / 4);
    stored(&shapes);
    _tile_loadconfig(&shapes);
  }

  static void dots(const Span& span, size_t tokens, int32_t (*dots)[Span::TOKENS]) {
    constexpr size_t MOST_WIDTH = 512;
    alignas(64) int32_t queries[MOST_WIDTH / 4][ROWS], found[ROWS][ROWS];  // what no query has is not read
    int8_t last[ROWS * MOST_WIDTH];
    const size_t width = span.width, piece = width % BYTES == 0 ? BYTES : BYTES / 2;
    for (size_t n = 0; n < span.queries; ++n)
      for (size_t four = 0; four < width / 4; ++four) std::memcpy(&queries[four][n], span.codes + n * width + 4 * four, 4);
    begin(piece);
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
};

bool runs_here() { return cpu_features().avx512_vnni && cpu_features().amx; }

}  // namespace

extern const KernelSet AMX;
const KernelSet AMX = {"amx", runs_here, Avx512Vnni::rows, quantize, multiply_blocks<Amx>, attend<Avx512Vnni, AmxAttention>, allow_tiles};

}  // namespace thinkport

// AMX: tiles of 16 rows of 64 bytes, and their products (Intel's manual, volume 1, chapter 18). Intel's servers from
// Sapphire Rapids (2023) on. Few rows are multiplied as by AVX-512 with VNNI.
//
// A tile of activations is 16 rows of 64 columns as they lie in memory. The other operand has four columns of 16 rows of
// the matrix in each of its rows, and that is the order in which a matrix is packed.
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
  static constexpr size_t ROWS = 16;
  static constexpr uint16_t LANES = 64;  // bytes of a row of the panel and of the dots: 16 rows of the matrix

  static size_t columns(size_t group) { return group % 64 == 0 ? 64 : 32; }
  // Tile 0 has dots, 1 activations, 2 the panel.
  static void begin(size_t rows, size_t group) {
    TileShapes shapes;
    const uint16_t width = static_cast<uint16_t>(columns(group));
    shapes.rows[0] = shapes.rows[1] = static_cast<uint8_t>(rows), shapes.rows[2] = static_cast<uint8_t>(width / 4);
    shapes.row_bytes[0] = shapes.row_bytes[2] = LANES, shapes.row_bytes[1] = width;
    stored(&shapes);
    _tile_loadconfig(&shapes);
  }
  static void end() { _tile_release(); }
  static V::Ints less(V::Ints x, V::Ints y) { return _mm512_sub_epi8(x, y); }
  static void put(int8_t* panel, V::Ints x, V::Ints y) { _mm512_storeu_si512(panel, x), _mm512_storeu_si512(panel + LANES, y); }
  static void dots(const int8_t* panel, const int8_t* codes, size_t stride, size_t group, size_t, int32_t* to) {
    stored(panel);
    _tile_zero(0);
    for (size_t column = 0, width = columns(group); column < group; column += width) {
      _tile_loadd(1, codes + column, stride);
      _tile_loadd(2, panel + column / 4 * LANES, LANES);
      _tile_dpbssd(0, 1, 2);
    }
    _tile_stored(0, to, LANES);
    stored(to);
  }
};

bool runs_here() { return cpu_features().avx512_vnni && cpu_features().amx; }

}  // namespace

extern const KernelSet AMX;
const KernelSet AMX = {"amx", runs_here, Avx512Vnni::rows, quantize, multiply_blocks<Amx>, attend<Avx512Vnni>, allow_tiles};

}  // namespace thinkport

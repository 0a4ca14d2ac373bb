// AVX-512 with VNNI: Intel's servers from Cascade Lake (2019) on and Core of the tenth and eleventh generation, AMD from
// Zen 4 on.
#include "avx512_vector.h"
#include "cpu_features.h"

namespace thinkport {
namespace {

bool runs_here() { return cpu_features().avx512_vnni; }

}  // namespace

extern const KernelSet AVX512_VNNI;
const KernelSet AVX512_VNNI = {"avx512_vnni", runs_here, Avx512Vnni::rows, quantize, multiply<Avx512Vnni>, attend<Avx512Vnni>};

}  // namespace thinkport

// NEON with dots of four bytes: ARM's cores from Cortex-A75 (2017) on, Apple's, Snapdragon's and Graviton's from 2 on.
#include "cpu_features.h"
#include "neon_vector.h"

namespace thinkport {
namespace {

bool runs_here() { return cpu_features().dotprod; }

}  // namespace

extern const KernelSet NEON_DOTPROD;
const KernelSet NEON_DOTPROD = {"neon_dotprod", runs_here, Neon<Dots>::rows, quantize, multiply<Neon<Dots>>, attend<Neon<Dots>>};

}  // namespace thinkport

// The dispatcher: which kernel sets this library has, best first, and which of them runs here.
#include "kernel_set.h"

namespace thinkport {

#if defined(__x86_64__)
extern const KernelSet AMX, AVX512_VNNI, AVX_VNNI, AVX2;
#elif defined(__aarch64__)
extern const KernelSet NEON_I8MM, NEON_DOTPROD, NEON;
#endif
extern const KernelSet SCALAR;

namespace {

const KernelSet* const SETS[] = {
#if defined(__x86_64__)
    &AMX, &AVX512_VNNI, &AVX_VNNI, &AVX2,
#elif defined(__aarch64__)
    &NEON_I8MM, &NEON_DOTPROD, &NEON,
#endif
    &SCALAR,
};

}  // namespace

const KernelSet* const* kernel_sets(size_t* count) {
  *count = sizeof SETS / sizeof *SETS;
  return SETS;
}

const KernelSet* find_set(const char* name) { return find_set(SETS, sizeof SETS / sizeof *SETS, name); }

}  // namespace thinkport

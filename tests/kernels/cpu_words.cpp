// What an x86 CPU of given words may use: `cpu_words ecx1 ebx7 ecx7 edx7 eax7_1 xcr0 allowed` prints its features, and
// how often the system was asked for tiles.
#include <cstdio>
#include <cstdlib>

#include "cpu_features.h"

namespace {

int asked = 0;
bool allowed = false;

bool allow_tiles() {
  ++asked;
  return allowed;
}

}  // namespace

int main(int count, char** texts) {
  unsigned words[7] = {};
  for (int n = 1; n < count && n <= 7; ++n) words[n - 1] = static_cast<unsigned>(std::strtoul(texts[n], nullptr, 16));
  allowed = words[6] != 0;
  const thinkport::CpuFeatures found = thinkport::x86_features({words[0], words[1], words[2], words[3], words[4], words[5]}, allow_tiles);
  std::printf("%s%s%s%s%sasked %d\n", found.avx2 ? "avx2 " : "", found.fma ? "fma " : "", found.avx_vnni ? "avx_vnni " : "",
              found.avx512_vnni ? "avx512_vnni " : "", found.amx ? "amx " : "", asked);
}

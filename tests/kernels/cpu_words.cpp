// What an x86 CPU of given words may use: `cpu_words ecx1 ebx7 ecx7 edx7 eax7_1 xcr0` prints its features.
// With `refused` or `given` in front it says which of three sets is found, where the system is asked for the first one's
// needs and answers so, and how often it is asked.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cpu_features.h"
#include "kernel_set.h"

namespace {

using namespace thinkport;

int asked = 0;
bool given = false;

bool here() { return true; }
bool elsewhere() { return false; }
bool allowed() { return ++asked, given; }

const KernelSet TILES = {"tiles", here, 16, nullptr, nullptr, nullptr, allowed};
const KernelSet FOREIGN = {"foreign", elsewhere, 16, nullptr, nullptr, nullptr, allowed};
const KernelSet PLAIN = {"plain", here, 16, nullptr, nullptr, nullptr};
const KernelSet* const SETS[] = {&FOREIGN, &TILES, &PLAIN};

void find(const char* name) {
  const KernelSet* found = find_set(SETS, 3, name);
  std::printf("%s %s %d\n", name, found ? found->name : "none", asked);
  asked = 0;
}

}  // namespace

int main(int count, char** texts) {
  if (count == 2) {
    given = std::strcmp(texts[1], "given") == 0;
    const char* const names[] = {"plain", "tiles", "foreign", "auto"};
    for (const char* name : names) find(name);
    return 0;
  }
  unsigned words[6] = {};
  for (int n = 1; n < count && n <= 6; ++n) words[n - 1] = static_cast<unsigned>(std::strtoul(texts[n], nullptr, 16));
  const CpuFeatures found = x86_features({words[0], words[1], words[2], words[3], words[4], words[5]});
  std::printf("%s%s%s%s%s\n", found.avx2 ? "avx2 " : "", found.fma ? "fma " : "", found.avx_vnni ? "avx_vnni " : "",
              found.avx512_vnni ? "avx512_vnni " : "", found.amx ? "amx " : "");
}

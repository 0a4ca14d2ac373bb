// Whether a kernel set computes what the scalar one does, to be asked once on every machine.
#pragma once

#include "kernel_set.h"

namespace thinkport {

bool agrees(const KernelSet& set);

}  // namespace thinkport

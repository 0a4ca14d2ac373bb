// Lays a matrix of MatMulNBits out for a kernel set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel_set.h"

namespace thinkport {

// A matrix as ONNX Runtime's MatMulNBits takes it: codes (rows, groups, group * bits / 8), low nibble first; scales
// (rows, groups); zero points (rows, groups), two in a byte of 4 bits where each row begins a new byte, or null where
// all are 2**(bits - 1).
struct StoredMatrix {
  size_t rows, columns, group;
  int bits;
  const uint8_t* codes;
  const float* scales;
  const uint8_t* points;
};

// Fill `packed`, whose data is zeros, with tiles [first, last) of `stored`.
void pack(const StoredMatrix& stored, const PackedMatrix& packed, size_t first, size_t last);

}  // namespace thinkport

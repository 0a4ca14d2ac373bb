// The operator QuantizedMatMul; see matrix_op.cpp.
#pragma once

#include <memory>

#include "op.h"

namespace thinkport {

SessionOp matrix_op(std::shared_ptr<Session> session);

}  // namespace thinkport

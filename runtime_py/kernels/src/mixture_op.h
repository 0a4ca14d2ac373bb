// The operator QuantizedExperts; see mixture_op.cpp.
#pragma once

#include <memory>

#include "op.h"

namespace thinkport {

SessionOp mixture_op(std::shared_ptr<Session> session);

}  // namespace thinkport

// The operator CachedAttention; see attention_op.cpp.
#pragma once

#include <memory>

#include "op.h"

namespace thinkport {

SessionOp attention_op(std::shared_ptr<Session> session);

}  // namespace thinkport

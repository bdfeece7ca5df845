#include "runtime/queue_failure.h"

#include <utility>

#include "cajal/error.h"

namespace cajal {

void QueueFailure::set(const DeviceFault& fault) {
  const std::lock_guard lock(mutex_);
  if (!fault_) fault_ = fault;
}

void QueueFailure::set_handler_error(std::string message) {
  const std::lock_guard lock(mutex_);
  if (!handler_error_) handler_error_ = std::move(message);
}

void QueueFailure::raise() {
  const std::lock_guard lock(mutex_);
  if (fault_) throw Error(fault_->describe());
  if (handler_error_) throw Error(*std::exchange(handler_error_, std::nullopt));
}

}  // namespace cajal

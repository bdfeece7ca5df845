#include "runtime/cuda/device_clock.h"

#include <algorithm>
#include <utility>

namespace cajal {

DeviceClock::Span DeviceClock::place(cudaEvent_t started, CudaEvent& completed, Clock submitted,
                                     Clock observed) {
  const double length = nanoseconds_between(started, completed.get());
  double begin = static_cast<double>(observed) - length;
  if (last_) {
    begin = last_at_ + std::max(0.0, nanoseconds_between(last_.get(), started));
    begin = std::max(begin, static_cast<double>(submitted));
    begin = std::min(begin, static_cast<double>(observed) - length);
    begin = std::max(begin, last_at_);
  }
  std::swap(last_, completed);
  last_at_ = begin + length;
  return {static_cast<Clock>(begin), static_cast<Clock>(last_at_)};
}

Clock DeviceClock::at(cudaEvent_t event) const {
  return static_cast<Clock>(last_at_ - nanoseconds_between(event, last_.get()));
}

}  // namespace cajal

// The device's time stamps on the host's clock.
#pragma once

#include <optional>

#include "cajal/command_buffer.h"
#include "runtime/cuda/handles.h"

namespace cajal {

/// Events carry the device's own clock, of which only differences are known. The first stamp is
/// placed by when the host saw it; later ones by their distance on the device, corrected whenever
/// work would have begun before it was submitted or ended after it was seen to have.
class DeviceClock {
 public:
  struct Span {
    Clock started = 0;
    Clock completed = 0;
  };

  /// Of a submission whose events have been reached; keeps `completed` for the next call.
  /// `submitted` is before the device was given it, `observed` after the host saw it complete.
  Span place(cudaEvent_t started, CudaEvent& completed, Clock submitted, Clock observed);

  /// Of an event of the submission placed last.
  Clock at(cudaEvent_t event) const;

 private:
  CudaEvent last_;      ///< Completion placed last.
  double last_at_ = 0;  ///< Its time, in nanoseconds with fraction.
};

}  // namespace cajal

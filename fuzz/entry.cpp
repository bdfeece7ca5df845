// libFuzzer's way into the target that CAJAL_FUZZ_TARGET names. A Violation, or anything else that
// is not caught, ends the process, which is what libFuzzer calls a finding.
#include <cstddef>
#include <cstdint>

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cajal::fuzz::CAJAL_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}

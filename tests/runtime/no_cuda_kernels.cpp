// Stands in for the CUDA tests' kernels where the build has no CUDA toolkit.
#include "cuda_kernels.h"

namespace cajal::test {

Kernel cuda_sets(const Buffer&, std::int32_t) { return {}; }
Kernel cuda_folds(const Buffer&, const Buffer&, std::int32_t) { return {}; }
Kernel cuda_refuses_negatives(const Buffer&) { return {}; }
Kernel cuda_writes_nowhere() { return {}; }
Kernel cuda_spins(std::chrono::nanoseconds) { return {}; }

}  // namespace cajal::test

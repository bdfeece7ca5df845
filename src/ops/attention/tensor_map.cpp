#include "ops/attention/tensor_map.h"

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <array>

#include "cajal/error.h"
#include "runtime/cuda/handles.h"

namespace cajal::ops::cuda_attention {
namespace {

/// The driver's function, found at run time: cajal does not link against the driver.
PFN_cuTensorMapEncodeTiled_v12000 find_encoder() {
  constexpr unsigned kSince = 12000;
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSince,
                                              cudaEnableDefault, &found),
             "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess) {
    throw Error("the driver has no cuTensorMapEncodeTiled; install a driver of CUDA 12 or newer");
  }
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

}  // namespace

CUtensorMap tile_map(const __nv_bfloat16* matrix, std::int64_t rows, std::int64_t columns) {
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = find_encoder();
  constexpr std::uint32_t kSide = 64;
  const std::array<cuuint64_t, 2> sizes{static_cast<cuuint64_t>(columns),
                                        static_cast<cuuint64_t>(rows)};
  const std::array<cuuint64_t, 1> strides{sizes[0] * sizeof(__nv_bfloat16)};
  const std::array<cuuint32_t, 2> box{kSide, kSide};
  const std::array<cuuint32_t, 2> steps{1, 1};
  CUtensorMap map{};
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(sizes.size()),
             const_cast<__nv_bfloat16*>(matrix), sizes.data(), strides.data(), box.data(),
             steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(fmt::format("cuTensorMapEncodeTiled: error {} for a matrix of {} x {}",
                            static_cast<int>(result), rows, columns));
  }
  return map;
}

}  // namespace cajal::ops::cuda_attention

#include "ops/cuda_kernel.cuh"
#include "ops/fill/backends.h"

namespace cajal::ops::cuda_backend {
namespace {

constexpr int kThreads = 256;

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    convert_kernel(const From* from, To* to, std::int64_t n, bool aligned) {
  constexpr int kCount = 8;
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kCount;
  float x[kCount];
  load_some(from + first, n - first, aligned, x);
  store_some(to + first, n - first, aligned, x);
}

template <class From, class To>
void run_convert(const CudaContext& context, const ConvertArgs& args) {
  const std::int64_t n = args.from.size();
  const From* from = args.from.data<From>();
  To* to = args.to.data<To>();
  launch(context, "convert", convert_kernel<From, To>,
         {extent(ceil_div(n, 8 * kThreads)), kThreads}, from, to, n, aligned_to_packs(from, to));
}

void copy(const CudaContext& context, const ConvertArgs& args) {
  check_cuda(cudaMemcpyAsync(args.to.data<std::byte>(), args.from.data<std::byte>(),
                             args.from.buffer.size(), cudaMemcpyDeviceToDevice, context.stream()),
             "convert");
}

}  // namespace

Kernel zero(const Tensor& x) {
  return [x](ExecutionContext& context) {
    check_cuda(cudaMemsetAsync(x.data<std::byte>(), 0, x.buffer.size(), cuda(context).stream()),
               "zero");
  };
}

Kernel convert(const ConvertArgs& args) {
  return [args](ExecutionContext& context) {
    if (args.from.dtype == args.to.dtype) {
      copy(cuda(context), args);
    } else if (args.from.dtype == DType::f32) {
      run_convert<float, __nv_bfloat16>(cuda(context), args);
    } else {
      run_convert<__nv_bfloat16, float>(cuda(context), args);
    }
  };
}

}  // namespace cajal::ops::cuda_backend

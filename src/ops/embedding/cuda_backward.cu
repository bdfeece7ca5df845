#include <bit>
#include <cub/device/device_radix_sort.cuh>

#include "ops/cuda_kernel.cuh"
#include "ops/embedding/backends.h"
#include "ops/embedding/sum_rows.cuh"

namespace cajal::ops::cuda_backend {
namespace {

template <class X>
struct Backward {
  const std::int32_t* tokens;
  const X* dx;
  float* dwte;
  float* dwpe;
  int count;  ///< Of tokens.
  int length;
  int vocab;
  int width;
  bool packed;  ///< Rows are whole packs, aligned.
  KernelFault fault;

  __device__ RowSource<X> rows() const { return {dx, width, width, packed}; }
};

constexpr auto kName = "embedding_backward";
constexpr int kThreads = 256;

template <class X>
__device__ void add_position(const Backward<X>& a, int position) {
  add_rows<kThreads>(
      a.rows(), a.count / a.length,
      [&](int batch) { return std::int64_t{batch} * a.length + position; },
      a.dwpe + std::int64_t{position} * a.width);
}

// Few tokens: a block each, which does nothing unless its token is the first with its id, else sums
// over all that have it.

constexpr int kFewTokens = 2048;

/// Lists the tokens from `first` on that have this id, in their order; returns their number.
template <class X>
__device__ int list_tokens(const Backward<X>& a, int first, std::int32_t id, int* list) {
  __shared__ int of_warp[kThreads / kWarp];
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned below = (1U << threadIdx.x % kWarp) - 1;
  int count = 0;
  for (; first < a.count; first += kThreads) {
    const int n = first + static_cast<int>(threadIdx.x);
    const bool match = n < a.count && a.tokens[n] == id;
    const unsigned matches = __ballot_sync(kAllLanes, match);
    if (threadIdx.x % kWarp == 0) of_warp[warp] = __popc(matches);
    __syncthreads();
    int before = count;
    for (unsigned w = 0; w < kThreads / kWarp; ++w) {
      before += w < warp ? of_warp[w] : 0;
      count += of_warp[w];
    }
    if (match) list[before + __popc(matches & below)] = n;
    __syncthreads();
  }
  return count;
}

template <class X>
__global__ void __launch_bounds__(kThreads) few_tokens_kernel(const Backward<X> a) {
  __shared__ int list[kFewTokens];
  const auto n = static_cast<int>(blockIdx.x);
  if (n >= a.count) return add_position(a, n - a.count);
  const std::int32_t id = a.tokens[n];
  if (id < 0 || id >= a.vocab) {
    if (threadIdx.x == 0) raise_fault(a.fault, n, id);
    return;
  }
  bool earlier = false;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) earlier |= a.tokens[i] == id;
  if (__syncthreads_or(earlier ? 1 : 0) != 0) return;
  const int count = list_tokens(a, n, id, list);
  add_rows<kThreads>(
      a.rows(), count, [&](int r) { return std::int64_t{list[r]}; },
      a.dwte + std::int64_t{id} * a.width);
}

// Many tokens are sorted by id, and the sorted list is cut into chunks of a warp's size. A run of
// one id that lies within a chunk goes to dwte; one that crosses chunks leaves a partial sum for
// each, which the chunk where it begins adds up afterwards.

using Key = std::uint64_t;  ///< Id above, index of the token below.

__device__ int id_of(Key key) { return static_cast<int>(key >> 32); }

/// A token outside the table sorts behind all others, as id `vocab`.
template <class X>
__global__ void __launch_bounds__(kThreads) keys_kernel(const Backward<X> a, Key* keys) {
  const auto n = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (n >= a.count) return;
  const std::int32_t id = a.tokens[n];
  const bool inside = id >= 0 && id < a.vocab;
  if (!inside) raise_fault(a.fault, n, id);
  keys[n] = static_cast<Key>(inside ? id : a.vocab) << 32 | static_cast<std::uint32_t>(n);
}

/// Sorted keys in chunks of kWarp.
struct Chunks {
  const Key* keys;
  int count;       ///< Of keys.
  float* partial;  ///< [chunks][2][width]: sums of the runs that enter and that leave a chunk.

  __host__ __device__ int chunks() const { return (count + kWarp - 1) / kWarp; }
  __device__ int size(int chunk) const { return min(kWarp, count - chunk * kWarp); }
  __device__ int id_at(int chunk, int i) const { return id_of(keys[chunk * kWarp + i]); }
  /// -1 where there is none.
  __device__ int id_before(int chunk) const { return chunk == 0 ? -1 : id_at(chunk, -1); }
  __device__ int id_after(int chunk) const {
    return chunk + 1 == chunks() ? -1 : id_at(chunk + 1, 0);
  }
};

/// A lane's columns of a run's sum.
template <class X>
struct Run {
  static constexpr int kCount = kLanes<X>;
  float sum[kCount] = {};
  int id;
  bool enters;

  __device__ void finish(const Backward<X>& a, const Chunks& sorted, int chunk, bool leaves,
                         int column) const {
    if (column >= a.width || id >= a.vocab) return;
    const std::int64_t width = a.width;
    const std::int64_t valid = width - column;
    if (enters || leaves) {
      float* to = sorted.partial + (std::int64_t{chunk} * 2 + (enters ? 0 : 1)) * width + column;
      store_some(to, valid, a.packed, sum);
      return;
    }
    float* to = a.dwte + id * width + column;
    float total[kCount];
    load_some(to, valid, a.packed, total);
#pragma unroll
    for (int i = 0; i < kCount; ++i) total[i] += sum[i];
    store_some(to, valid, a.packed, total);
  }
};

constexpr int kChunkWarps = 4;

/// A warp takes a chunk and as many columns as it loads at once; blockIdx.y counts those.
template <class X>
__global__ void __launch_bounds__(kChunkWarps* kWarp)
    chunks_kernel(const Backward<X> a, const Chunks sorted) {
  constexpr int kCount = kLanes<X>;
  constexpr int kUnroll = 4;  // Rows in flight.
  const auto lane = static_cast<int>(threadIdx.x % kWarp);
  const auto chunk = static_cast<int>(blockIdx.x * kChunkWarps + threadIdx.x / kWarp);
  if (chunk >= sorted.chunks()) return;
  const int column = (static_cast<int>(blockIdx.y) * kWarp + lane) * kCount;
  const int size = sorted.size(chunk);
  const Key key = lane < size ? sorted.keys[chunk * kWarp + lane] : 0;
  Run<X> run{.id = id_of(__shfl_sync(kAllLanes, key, 0)), .enters = false};
  run.enters = sorted.id_before(chunk) == run.id;
  for (int first = 0; first < size; first += kUnroll) {
    float rows[kUnroll][kCount] = {};
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const auto row = static_cast<std::uint32_t>(__shfl_sync(kAllLanes, key, first + u));
      if (first + u >= size || column >= a.width) continue;
      load_some(a.dx + std::int64_t{row} * a.width + column, a.width - column, a.packed, rows[u]);
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int id = id_of(__shfl_sync(kAllLanes, key, first + u));
      if (first + u >= size) continue;
      if (id != run.id) {
        run.finish(a, sorted, chunk, false, column);
        run = {.id = id, .enters = false};
      }
#pragma unroll
      for (int i = 0; i < kCount; ++i) run.sum[i] += rows[u][i];
    }
  }
  run.finish(a, sorted, chunk, sorted.id_after(chunk) == run.id, column);
}

constexpr int kCombineColumns = 128;

/// Block (chunk, tile of columns) adds up the run that begins in its chunk and goes on beyond.
template <class X>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const Backward<X> a, const Chunks sorted) {
  const auto chunk = static_cast<int>(blockIdx.x);
  const int id = sorted.id_at(chunk, sorted.size(chunk) - 1);
  if (id >= a.vocab || sorted.id_after(chunk) != id || sorted.id_before(chunk) == id) return;
  int others = 0;
  for (int found = kThreads; found == kThreads;) {
    const int other = chunk + 1 + others + static_cast<int>(threadIdx.x);
    const bool match = other < sorted.chunks() && sorted.id_at(other, 0) == id;
    found = __syncthreads_count(match ? 1 : 0);
    others += found;
  }
  const int column = static_cast<int>(blockIdx.y) * kCombineColumns;
  const RowSource<float> partial{sorted.partial + column, a.width,
                                 min(kCombineColumns, a.width - column), a.packed};
  add_rows<kThreads>(
      partial, 1 + others,
      [&](int r) { return r == 0 ? std::int64_t{chunk} * 2 + 1 : std::int64_t{chunk + r} * 2; },
      a.dwte + std::int64_t{id} * a.width + column);
}

template <class X>
__global__ void __launch_bounds__(kThreads) positions_kernel(const Backward<X> a) {
  add_position(a, static_cast<int>(blockIdx.x));
}

/// Consecutive pieces of one command's scratch.
class Pieces {
 public:
  template <class T>
  std::size_t add(std::size_t count) {
    constexpr std::size_t kAlignment = 256;
    const std::size_t at = bytes_;
    bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

/// Returns the sorted keys of all tokens, in scratch that also has the chunks' partial sums.
template <class X>
Chunks sort_tokens(CudaContext& context, const Backward<X>& a) {
  const auto count = static_cast<std::size_t>(a.count);
  const int last_bit = 32 + static_cast<int>(std::bit_width(static_cast<unsigned>(a.vocab)));
  const auto sort = [&](void* memory, std::size_t& bytes, const Key* from, Key* to) {
    check_cuda(cub::DeviceRadixSort::SortKeys(memory, bytes, from, to, a.count, 32, last_bit,
                                              context.stream()),
               kName);
  };
  std::size_t sort_bytes = 0;
  sort(nullptr, sort_bytes, nullptr, nullptr);
  Chunks sorted{.keys = nullptr, .count = a.count, .partial = nullptr};
  Pieces pieces;
  const std::size_t unsorted_at = pieces.add<Key>(count);
  const std::size_t sorted_at = pieces.add<Key>(count);
  const std::size_t memory_at = pieces.add<std::byte>(sort_bytes);
  const std::size_t partial_at = pieces.add<float>(static_cast<std::size_t>(sorted.chunks()) * 2 *
                                                   static_cast<std::size_t>(a.width));
  std::byte* scratch = context.scratch(pieces.bytes()).data();
  auto* unsorted = reinterpret_cast<Key*>(scratch + unsorted_at);
  auto* keys = reinterpret_cast<Key*>(scratch + sorted_at);
  launch(context, kName, keys_kernel<X>, {extent(ceil_div(a.count, kThreads)), kThreads}, a,
         unsorted);
  sort(scratch + memory_at, sort_bytes, unsorted, keys);
  sorted.keys = keys;
  sorted.partial = reinterpret_cast<float*>(scratch + partial_at);
  return sorted;
}

template <class X>
void run_many(CudaContext& context, const Backward<X>& a) {
  const Chunks sorted = sort_tokens(context, a);
  const dim3 chunks(extent(ceil_div(sorted.chunks(), kChunkWarps)),
                    extent(ceil_div(a.width, kWarp * kLanes<X>)));
  const dim3 runs(extent(sorted.chunks()), extent(ceil_div(a.width, kCombineColumns)));
  launch(context, kName, chunks_kernel<X>, {chunks, kChunkWarps * kWarp}, a, sorted);
  launch(context, kName, combine_kernel<X>, {runs, kThreads}, a, sorted);
  launch(context, kName, positions_kernel<X>, {extent(a.length), kThreads}, a);
}

template <class X>
void run(CudaContext& context, const EmbeddingBackwardArgs& args) {
  const std::int64_t length = args.tokens.dim(1);
  const std::int64_t vocab = args.dwte.dim(0);
  const auto width = static_cast<int>(args.dx.dim(-1));
  Backward<X> a{.tokens = args.tokens.data<std::int32_t>(),
                .dx = args.dx.data<X>(),
                .dwte = args.dwte.data<float>(),
                .dwpe = args.dwpe.data<float>(),
                .count = static_cast<int>(args.tokens.size()),
                .length = static_cast<int>(length),
                .vocab = static_cast<int>(vocab),
                .width = width,
                .packed = width % kLanes<X> == 0,
                .fault = context.fault_slot([=](std::int64_t index, std::int32_t id) {
                  return std::string(token_outside(index, length, id, vocab).what());
                })};
  a.packed = a.packed && aligned_to_packs(a.dx, a.dwte, a.dwpe);
  if (a.count == 0) return;
  if (a.count > kFewTokens) return run_many(context, a);
  launch(context, kName, few_tokens_kernel<X>, {extent(a.count + a.length), kThreads}, a);
}

}  // namespace

Kernel embedding_backward(const EmbeddingBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    args.dx.dtype == DType::f32 ? run<float>(cuda(context), args)
                                : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend

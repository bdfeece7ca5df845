// Times every perf case of the operations' list, beside the measured ceilings of the device.
//
//   ops_bench --benchmark_filter='linear/bf16'     CAJAL_TEST_DEVICE picks the device.
//
// Times are the device's own, without the host: their mean. FLOP/s and B/s are those of the fastest
// run, which other work on the machine disturbs least, and are to be held against `ceiling/...`.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/cpu_parallel.h"
#include "ops/harness.h"
#include "ops/linear/linear.h"

namespace cajal::testing {
namespace {

constexpr double kNanosecond = 1e-9;

double bytes_of(const OpCase& op_case) {
  if (op_case.bytes > 0) return op_case.bytes;
  double bytes = 0;
  for (const auto& spec : op_case.tensors) {
    const auto size =
        static_cast<double>(element_count(spec.shape)) * static_cast<double>(size_of(spec.dtype));
    bytes += spec.role == Role::inout ? 2 * size : size;
  }
  return bytes;
}

void measure(benchmark::State& state, const OpCase& op_case) {
  if (const auto reason = skip_reason(op_case, *test_device())) {
    state.SkipWithError(reason->c_str());
    return;
  }
  Workbench bench(op_case, test_device());
  bench.load(draw_inputs(op_case, run_seed()));
  // On a GPU a replay begins and ends in as much time as a small operation takes.
  const bool gpu = test_device()->kind() != DeviceKind::cpu;
  const int times = gpu ? 20 : 1;
  bench.record(times);
  // Builds what the kernel caches; the second run on a GPU captures the graph.
  for (int i = 0; i < (gpu ? 3 : 1); ++i) bench.run();
  double best = std::numeric_limits<double>::infinity();
  for ([[maybe_unused]] auto _ : state) {
    const double seconds = static_cast<double>(bench.run()) * kNanosecond / times;
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
  }
  if (op_case.flops > 0) state.counters["FLOP/s"] = op_case.flops / best;
  state.counters["B/s"] = bytes_of(op_case) / best;
}

/// The best that the library reaches here: one large product whose operands are reused the most.
OpCase product_ceiling(DType dtype) {
  const std::int64_t side = test_device()->kind() == DeviceKind::cpu ? 4096 : 8192;
  OpCase c;
  c.operation = "ceiling";
  c.variant = fmt::format("product/{}", name_of(dtype));
  const Shape shape{side, side};
  c.tensors = {{.name = "x", .shape = shape, .dtype = dtype},
               {.name = "weight", .shape = shape, .dtype = dtype},
               {.name = "y", .shape = shape, .dtype = dtype, .role = Role::output}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::linear(commands, {.x = t.at("x"), .weight = t.at("weight"), .y = t.at("y")});
  };
  c.flops = 2.0 * std::pow(static_cast<double>(side), 3);
  return c;
}

/// Read and write of memory far larger than the caches.
OpCase copy_ceiling() {
  OpCase c;
  c.operation = "ceiling";
  c.variant = "copy";
  const Shape shape{std::int64_t{64} << 20};
  c.tensors = {{.name = "from", .shape = shape, .fill = {.kind = Fill::Kind::constant}},
               {.name = "to", .shape = shape, .role = Role::output}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    const Tensor from = t.at("from");
    const Tensor to = t.at("to");
    commands.encode("copy", {{from.buffer, Access::read}, {to.buffer, Access::write}},
                    [from, to](ExecutionContext& context) {
                      ops::parallel_chunks(
                          cpu(context), from.size(), std::int64_t{1} << 20,
                          [&](std::int64_t, std::int64_t first, std::int64_t last) {
                            std::memcpy(to.data<float>() + first, from.data<float>() + first,
                                        static_cast<std::size_t>(last - first) * sizeof(float));
                          });
                    });
  };
  return c;
}

void add(const OpCase& op_case) {
  benchmark::RegisterBenchmark(full_name(op_case).c_str(),
                               [op_case](benchmark::State& state) { measure(state, op_case); })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("device", test_device()->info().description);
  benchmark::AddCustomContext("threads", std::to_string(test_device()->info().threads));
  for (const DType dtype : {DType::f32, DType::bf16}) add(product_ceiling(dtype));
  if (test_device()->kind() == DeviceKind::cpu) add(copy_ceiling());
  for (const auto& op_case : all_cases()) {
    if (op_case.perf) add(op_case);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace cajal::testing

int main(int argc, char** argv) {
  try {
    return cajal::testing::run(argc, argv);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "{}\n", failure.what());
    return 1;
  }
}

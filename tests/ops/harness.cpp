#include "ops/harness.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "cajal/error.h"

namespace cajal::testing {
namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr std::byte kGuard{0xa5};
constexpr std::int32_t kPoisonInteger = 0x7fffffff;

std::uint64_t hash_of(std::string_view text) {  // FNV-1a: the same on every platform.
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::vector<double> draw(const TensorSpec& spec, std::mt19937_64& generator) {
  const Fill& fill = spec.fill;
  std::vector<double> values(static_cast<std::size_t>(element_count(spec.shape)), fill.a);
  if (fill.kind == Fill::Kind::normal) {
    std::normal_distribution<double> normal(fill.a, fill.b);
    for (double& value : values) value = normal(generator);
  } else if (fill.kind == Fill::Kind::integer) {
    std::uniform_int_distribution<std::int64_t> integer(static_cast<std::int64_t>(fill.a),
                                                        static_cast<std::int64_t>(fill.b));
    std::bernoulli_distribution masked(fill.masked);
    for (double& value : values) {
      value = static_cast<double>(integer(generator));
      if (masked(generator)) value = -1.0;
    }
  } else if (fill.kind == Fill::Kind::list) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fill.values[i % fill.values.size()];
  }
  return values;
}

template <class T>
void append(Bytes& bytes, T value) {
  const auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <class T>
std::vector<T> elements(const Bytes& bytes) {
  std::vector<T> result(bytes.size() / sizeof(T));
  std::memcpy(static_cast<void*>(result.data()), bytes.data(), result.size() * sizeof(T));
  return result;
}

Bytes poison(const TensorSpec& spec) {
  const double value = spec.dtype == DType::i32 ? kPoisonInteger : std::nan("");
  return to_bytes(std::vector<double>(static_cast<std::size_t>(element_count(spec.shape)), value),
                  spec.dtype);
}

bool same_bytes(const Bytes& a, const Bytes& b, std::size_t first, std::size_t count) {
  return std::memcmp(a.data() + first, b.data() + first, count) == 0;
}

}  // namespace

std::uint64_t run_seed() {
  static const std::uint64_t seed = [] {
    // Read before any thread is started.
    const char* given = std::getenv("CAJAL_TEST_SEED");  // NOLINT(concurrency-mt-unsafe)
    return given != nullptr ? std::stoull(given) : std::uint64_t{std::random_device{}()};
  }();
  return seed;
}

std::string full_name(const OpCase& op_case) { return op_case.operation + "/" + op_case.variant; }

std::optional<std::string> skip_reason(const OpCase& op_case, const Device& device) {
  for (const auto& spec : op_case.tensors) {
    if (spec.dtype == DType::bf16 && !device.info().supports_bf16) {
      return fmt::format("{} has no bf16: {}", device.info().name, device.info().bf16_remedy);
    }
  }
  return std::nullopt;
}

Bytes to_bytes(const std::vector<double>& values, DType dtype) {
  Bytes bytes;
  bytes.reserve(values.size() * size_of(dtype));
  for (const double value : values) {
    if (dtype == DType::i32) {
      append(bytes, static_cast<std::int32_t>(value));
    } else if (dtype == DType::bf16) {
      append(bytes, bfloat16(static_cast<float>(value)).bits);
    } else {
      append(bytes, static_cast<float>(value));
    }
  }
  return bytes;
}

std::vector<double> to_values(const Bytes& bytes, DType dtype) {
  if (dtype == DType::i32) {
    const auto raw = elements<std::int32_t>(bytes);
    return {raw.begin(), raw.end()};
  }
  if (dtype == DType::f32) {
    const auto raw = elements<float>(bytes);
    return {raw.begin(), raw.end()};
  }
  std::vector<double> values;
  for (const auto element : elements<bfloat16>(bytes)) {
    values.push_back(static_cast<double>(static_cast<float>(element)));
  }
  return values;
}

Values draw_inputs(const OpCase& op_case, std::uint64_t seed) {
  std::mt19937_64 generator(seed ^ hash_of(full_name(op_case)));
  Values inputs;
  for (const auto& spec : op_case.tensors) {
    if (spec.role == Role::output) continue;
    inputs[spec.name] = to_values(to_bytes(draw(spec, generator), spec.dtype), spec.dtype);
  }
  if (op_case.gradcheck.empty()) return inputs;

  Values made = inputs;
  op_case.gradcheck.front().forward(made);
  for (const auto& spec : op_case.tensors) {
    if (spec.role != Role::input) continue;
    inputs[spec.name] = to_values(to_bytes(made.at(spec.name), spec.dtype), spec.dtype);
  }
  return inputs;
}

Workbench::Workbench(const OpCase& op_case, const std::shared_ptr<Device>& device)
    : case_(op_case), queue_(device) {
  for (const auto& spec : case_.tensors) {
    const auto bytes = static_cast<std::size_t>(element_count(spec.shape)) * size_of(spec.dtype);
    const Buffer whole = device->allocate(bytes + 2 * kGuardBytes, spec.name);
    slots_[spec.name] = {
        whole, Tensor(whole.slice(kGuardBytes, bytes), spec.dtype, spec.shape), {}};
  }
}

void Workbench::load(const Values& inputs) {
  for (const auto& spec : case_.tensors) {
    Slot& slot = slots_.at(spec.name);
    const Bytes content =
        spec.role == Role::output ? poison(spec) : to_bytes(inputs.at(spec.name), spec.dtype);
    slot.loaded.assign(kGuardBytes, kGuard);
    slot.loaded.insert(slot.loaded.end(), content.begin(), content.end());
    slot.loaded.insert(slot.loaded.end(), kGuardBytes, kGuard);
    queue_.write(slot.loaded, slot.whole, WaitReason::evaluation);
  }
}

void Workbench::record(int times) {
  Tensors tensors;
  for (const auto& [name, slot] : slots_) tensors[name] = slot.tensor;
  commands_ = queue_.command_buffer(full_name(case_));
  for (int i = 0; i < times; ++i) case_.encode(*commands_, tensors);
}

Clock Workbench::run() {
  if (!commands_) record();
  Clock elapsed = 0;
  Submission submission;
  submission.completed = [&elapsed](const Completion& done) {
    elapsed = done.completed - done.started;
  };
  queue_.wait(queue_.commit(commands_, std::move(submission)), WaitReason::evaluation);
  return elapsed;
}

Bytes Workbench::read(const Buffer& buffer) {
  Bytes bytes(buffer.size());
  queue_.read(buffer, bytes, WaitReason::evaluation);
  return bytes;
}

std::map<std::string, Bytes> Workbench::read_results() {
  std::map<std::string, Bytes> results;
  for (const auto& spec : case_.tensors) {
    if (spec.role != Role::input) results[spec.name] = read(slots_.at(spec.name).tensor.buffer);
  }
  return results;
}

void Workbench::find_changes(const TensorSpec& spec, bool kept,
                             std::vector<std::string>& problems) {
  const Slot& slot = slots_.at(spec.name);
  const Bytes now = read(slot.whole);
  const std::size_t after = now.size() - kGuardBytes;
  if (!same_bytes(now, slot.loaded, 0, kGuardBytes)) {
    problems.push_back(fmt::format("{}: bytes before it were written", spec.name));
  }
  if (!same_bytes(now, slot.loaded, after, kGuardBytes)) {
    problems.push_back(fmt::format("{}: bytes after it were written", spec.name));
  }
  if (kept && !same_bytes(now, slot.loaded, kGuardBytes, after - kGuardBytes)) {
    problems.push_back(fmt::format("{}: was written, but is only read", spec.name));
  }
}

double tolerance_of(const TensorSpec& spec) {
  if (spec.tolerance > 0.0) return spec.tolerance;
  if (spec.dtype == DType::i32) return 0.0;
  return spec.dtype == DType::bf16 ? 1.0 / 128.0 : 2e-5;
}

std::optional<std::string> compare(const std::string& name, const std::vector<double>& got,
                                   const std::vector<double>& want, double tolerance) {
  if (got.size() != want.size()) {
    return fmt::format("{}: the reference has {} elements, not {}", name, want.size(), got.size());
  }
  std::size_t outside = 0;
  std::size_t worst = 0;
  double worst_error = -1.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool same = got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]));
    double error = same ? 0.0 : std::abs(got[i] - want[i]) / (1.0 + std::abs(want[i]));
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    if (error > tolerance) ++outside;
    if (error > worst_error) {
      worst_error = error;
      worst = i;
    }
  }
  if (outside == 0) return std::nullopt;
  return fmt::format(
      "{}: {} of {} elements are off by more than {}; worst is [{}]: got {}, want {}", name,
      outside, got.size(), tolerance, worst, got[worst], want[worst]);
}

std::vector<std::string> check_against_reference(const OpCase& op_case,
                                                 const std::shared_ptr<Device>& device,
                                                 std::uint64_t seed) {
  const Values inputs = draw_inputs(op_case, seed);
  Workbench bench(op_case, device);
  bench.load(inputs);
  bench.record();
  for (const auto& change : bench.find_changes([](const TensorSpec&) { return true; })) {
    return {"recording touched memory: " + change};
  }
  bench.run();
  auto problems =
      bench.find_changes([](const TensorSpec& spec) { return spec.role == Role::input; });

  Values want = inputs;
  op_case.reference(want);
  const auto first = bench.read_results();
  for (const auto& spec : op_case.tensors) {
    if (spec.role == Role::input) continue;
    const auto got = to_values(first.at(spec.name), spec.dtype);
    const auto problem = compare(spec.name, got, want[spec.name], tolerance_of(spec));
    if (problem) problems.push_back(*problem);
  }

  bench.load(inputs);
  bench.run();
  if (bench.read_results() != first) problems.emplace_back("a second run gives other bits");
  return problems;
}

}  // namespace cajal::testing

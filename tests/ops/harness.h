// Sets one operation case up on a device, runs it, and says what is wrong with the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/device.h"
#include "ops/cases.h"
#include "test_device.h"

namespace cajal::testing {

/// CAJAL_TEST_SEED, or a fresh random number; the same through one process.
std::uint64_t run_seed();

/// "linear/bf16/N=7".
std::string full_name(const OpCase& op_case);

/// Why this device cannot run the case; nothing when it can.
std::optional<std::string> skip_reason(const OpCase& op_case, const Device& device);

/// Inputs and inouts, drawn by (seed, name of the case) and rounded to their dtypes. Where the case
/// has a gradient check, inputs that its forward makes come from there.
Values draw_inputs(const OpCase& op_case, std::uint64_t seed);

using Bytes = std::vector<std::byte>;
Bytes to_bytes(const std::vector<double>& values, DType dtype);
std::vector<double> to_values(const Bytes& bytes, DType dtype);

/// The tensors of one case on a device, each between two guards, and the recorded operation.
class Workbench {
 public:
  Workbench(const OpCase& op_case, const std::shared_ptr<Device>& device);

  /// Writes inputs and inouts, poisons outputs, renews the guards.
  void load(const Values& inputs);
  /// Records on first use, later replays; waits. Returns nanoseconds on the device.
  Clock run();
  /// The operation `times` times over, one after the other.
  void record(int times = 1);

  /// Outputs and inouts by name.
  std::map<std::string, Bytes> read_results();

  /// Everything that differs from what load() wrote: guards, and tensors for which `kept` is true.
  template <class Predicate>
  std::vector<std::string> find_changes(Predicate kept);

 private:
  struct Slot {
    Buffer whole;  ///< Guard, tensor, guard.
    Tensor tensor;
    Bytes loaded;  ///< What load() put there, guards included.
  };
  void find_changes(const TensorSpec& spec, bool kept, std::vector<std::string>& problems);
  Bytes read(const Buffer& buffer);

  const OpCase& case_;
  CommandQueue queue_;
  std::map<std::string, Slot> slots_;
  std::shared_ptr<CommandBuffer> commands_;
};

template <class Predicate>
std::vector<std::string> Workbench::find_changes(Predicate kept) {
  std::vector<std::string> problems;
  for (const auto& spec : case_.tensors) find_changes(spec, kept(spec), problems);
  return problems;
}

/// Largest |got - want| / (1 + |want|) that `spec` allows.
double tolerance_of(const TensorSpec& spec);

/// Nothing, or the worst element and how many are outside the tolerance.
std::optional<std::string> compare(const std::string& name, const std::vector<double>& got,
                                   const std::vector<double>& want, double tolerance);

/// Runs the case once and lists every problem: recording that touched memory, outputs off the
/// reference, changed inputs, overrun guards, a replay with other bits.
std::vector<std::string> check_against_reference(const OpCase& op_case,
                                                 const std::shared_ptr<Device>& device,
                                                 std::uint64_t seed);

/// Runs the case's backward operation and compares its gradients with central differences.
std::vector<std::string> check_gradients(const OpCase& op_case,
                                         const std::shared_ptr<Device>& device, std::uint64_t seed);

}  // namespace cajal::testing

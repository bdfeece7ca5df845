// Flags that several subcommands share, with one wording.
#pragma once

#include <string>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/dtype.h"
#include "cli/flags.h"
#include "cli/session.h"

namespace cajal::cli {

std::vector<Choice<std::string>> preset_choices();
std::string preset_names();  ///< "tiny, cajal-20m, ..."

inline const std::vector<Choice<DType>> kDTypes{
    {"fp32", DType::f32}, {"bf16", DType::bf16}, {"fp8", DType::fp8}};
inline const std::vector<Choice<SyncMode>> kSyncModes{{"step", SyncMode::step},
                                                      {"every-op", SyncMode::every_op}};

void add_device(Flags& flags, std::string& device);
template <class T>
void add_dtype(Flags& flags, T& dtype) {
  flags.choice("--dtype", dtype, kDTypes, "T",
               "fp32, bf16 or fp8 (default: bf16 on a GPU, else fp32); weights and moments stay "
               "fp32");
}
void add_threads(Flags& flags, int& threads);
void add_verbose(Flags& flags, bool& verbose);

/// Warns when there are more threads than cores.
void check_threads(Session& session, int threads);

}  // namespace cajal::cli

#include "cli/profile.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cajal/error.h"
#include "cli/format.h"
#include "train/durable_file.h"

namespace cajal::cli {
namespace {

double share_of(const train::Profile& profile, double ms) {
  return profile.ms_per_step > 0.0 ? ms / profile.ms_per_step : 0.0;
}

/// What no operation accounts for: transfers, and a device that waits for the host.
double rest_of(const train::Profile& profile) {
  double rest = profile.ms_per_step;
  for (const train::OperationTime& time : profile.operations) rest -= time.ms;
  return rest;
}

}  // namespace

void require_writable(const std::filesystem::path& file) {
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  // A device such as /dev/null would be replaced.
  const bool replaceable = !std::filesystem::exists(file) || std::filesystem::is_regular_file(file);
  if (replaceable && ::access(folder.c_str(), W_OK | X_OK) == 0) return;
  throw InvalidArgument(fmt::format("cannot write the profile {}", file.string()),
                        "give --profile a file in an existing, writable directory");
}

std::string profile_table(const train::Profile& profile) {
  const auto row = [&](const std::string& name, const std::string& calls, double ms) {
    return fmt::format("{:<30} {:>13} {:>13.3f} {:>9}\n", name, calls, ms,
                       format_share(share_of(profile, ms)));
  };
  std::string out = fmt::format("{:<30} {:>13} {:>13} {:>9}\n", "operation, one after the other",
                                "calls a step", "ms a step", "share");
  for (const train::OperationTime& time : profile.operations) {
    out += row(time.operation, fmt::format("{:.0f}", time.calls), time.ms);
  }
  out += row("between operations", "", rest_of(profile));
  return out + row("a traced step", "", profile.ms_per_step);
}

void write_profile(const std::filesystem::path& file, nlohmann::ordered_json run,
                   const train::Profile& profile) {
  nlohmann::ordered_json& json = run["profile"];
  json["ms_per_step"] = profile.ms_per_step;
  json["operations"] = nlohmann::ordered_json::array();
  for (const train::OperationTime& time : profile.operations) {
    json["operations"].push_back({{"operation", time.operation},
                                  {"calls", time.calls},
                                  {"ms", time.ms},
                                  {"share", share_of(profile, time.ms)}});
  }
  train::write_file_atomically(file, run.dump(1) + '\n');
}

}  // namespace cajal::cli

#include "cli/common_flags.h"

#include <fmt/format.h>

#include <thread>

#include "model/presets.h"

namespace cajal::cli {

std::vector<Choice<std::string>> preset_choices() {
  std::vector<Choice<std::string>> choices;
  for (const model::Preset& preset : model::presets()) {
    choices.push_back({std::string(preset.name), std::string(preset.name)});
  }
  return choices;
}

std::string preset_names() {
  std::string names;
  for (const model::Preset& preset : model::presets()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", preset.name);
  }
  return names;
}

void add_device(Flags& flags, std::string& device) {
  flags.text(
      "--device", device, "D",
      "cpu, cuda or cuda:N, the card number N (default: cpu; cajal info shows what is here)");
}

void add_threads(Flags& flags, int& threads) {
  constexpr int kMost = 4096;
  flags.integer("--threads", threads, "N", "threads inside an operation (default: 0, every core)",
                {0, kMost});
}

void add_verbose(Flags& flags, bool& verbose) {
  flags.boolean("-v,--verbose", verbose, "more about what happens, on standard error");
}

void check_threads(Session& session, int threads) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (cores == 0 || threads <= cores) return;
  warn(session,
       fmt::format(
           "--threads {} is more than the {} cores here and will be slower; leave it out to use "
           "every core",
           threads, cores));
}

}  // namespace cajal::cli

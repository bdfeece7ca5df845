// cajal bench
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/common_flags.h"
#include "cli/exit_codes.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/profile.h"
#include "cli/session.h"
#include "cli/version.h"

namespace cajal::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  cajal bench --preset cajal-20m --batch 4\n"
    "  cajal bench --preset tiny --sync every-op --json\n"
    "\n"
    "Times whole training steps on random tokens: a warm-up, then blocks of steps.\n"
    "--profile then traces a few more, operation by operation: JSON to the file, a\n"
    "table to the terminal.";

constexpr std::int64_t kProfiledSteps = 5;

class Bench final : public Subcommand {
 public:
  explicit Bench(CLI::App& app) : Subcommand(app), flags_(app) {
    constexpr std::int64_t kMost = std::int64_t{1} << 24;
    app.footer(kFooter);
    flags_.group("What");
    flags_.choice("--preset", options_.preset, preset_choices(), "P",
                  preset_names() + " (default: cajal-20m)");
    flags_.integer("--batch", options_.batch, "N", "sequences at once (default: 1)", {1, kMost});
    flags_.integer("--seq", options_.seq, "N",
                   "tokens in a sequence (default: the preset's longest)", {1, kMost});
    flags_.integer("--accumulate", options_.accumulate, "N",
                   "batches whose gradients make one step (default: 1)", {1, kMost});
    add_dtype(flags_, options_.dtype);
    flags_.choice(
        "--sync", options_.sync, kSyncModes, "M",
        "step: wait only for back pressure; every-op: after every operation (default: step)");
    flags_.group("How");
    flags_.integer("--steps", options_.steps, "N", "steps in a block (default: 3)", {1, kMost});
    flags_.integer("--blocks", options_.blocks, "N", "blocks; the median counts (default: 5)",
                   {1, kMost});
    add_device(flags_, options_.device);
    add_threads(flags_, options_.threads);
    flags_.text("--profile", profile_, "FILE", "also write what each operation takes, as JSON");
    flags_.boolean("--json", json_, "print one JSON object and nothing else");
    add_verbose(flags_, verbose_);
  }

  void check(Session& session) override {
    check_threads(session, options_.threads);
    if (profile_.empty()) return;
    options_.profile_steps = kProfiledSteps;
    require_writable(profile_);
  }
  int run(Session& session) override;

 private:
  nlohmann::ordered_json to_json(const train::BenchmarkResult& result) const;
  std::string to_table(const train::BenchmarkResult& result) const;

  Flags flags_;
  train::BenchmarkOptions options_;
  std::filesystem::path profile_;
  bool json_ = false;
};

nlohmann::ordered_json Bench::to_json(const train::BenchmarkResult& result) const {
  nlohmann::ordered_json json;
  json["peer"] = "cajal";
  json["version"] = version();
  json["preset"] = result.preset;
  json["batch"] = result.batch;
  json["seq"] = result.seq;
  json["device"] = result.device;
  json["dtype"] = std::string(name_of(result.dtype));
  json["sync"] = result.sync == SyncMode::step ? "step" : "every-op";
  json["threads"] = result.threads;
  json["accumulate"] = options_.accumulate;
  json["params"] = result.parameters;
  json["ms_per_step"] = result.ms_per_step;
  json["spread"] = {result.ms_min, result.ms_max};
  json["tokens_per_s"] = result.tokens_per_s;
  json["tflops"] = result.tflops;
  json["mfu"] = result.mfu ? nlohmann::ordered_json(*result.mfu) : nlohmann::ordered_json();
  json["device_busy"] = result.device_busy;
  json["host_waits_per_step"] = result.host_waits_per_step;
  json["host_blocked_ms_per_step"] = result.host_blocked_ms_per_step;
  json["peak_bytes"] = result.peak_bytes;
  json["first_loss"] = result.first_loss;
  json["last_loss"] = result.last_loss;
  return json;
}

std::string Bench::to_table(const train::BenchmarkResult& result) const {
  const auto row = [](std::string_view name, const std::string& value) {
    return fmt::format("{:<16}{}\n", name, value);
  };
  std::string out = row("model", fmt::format("{}, {} parameters", result.preset,
                                             format_count(static_cast<double>(result.parameters))));
  out += row("device", result.threads > 0
                           ? fmt::format("{}, {} threads", result.device, result.threads)
                           : result.device);
  out += row("a step", fmt::format("{} x {} tokens, {} times, {}, sync {}", result.batch,
                                   result.seq, options_.accumulate, name_of(result.dtype),
                                   result.sync == SyncMode::step ? "step" : "every-op"));
  out += row("ms a step", fmt::format("{:.2f} (blocks from {:.2f} to {:.2f})", result.ms_per_step,
                                      result.ms_min, result.ms_max));
  out += row("tokens/s", fmt::format("{:.0f}", result.tokens_per_s));
  out += row("TFLOP/s",
             fmt::format("{:.4f}{}", result.tflops,
                         result.mfu ? fmt::format(", {} of the peak", format_share(*result.mfu))
                                    : std::string(" (the device's peak is not known)")));
  out += row("device busy", format_share(result.device_busy));
  out +=
      row("host waits", fmt::format("{:.3f} a step, {:.2f} ms blocked", result.host_waits_per_step,
                                    result.host_blocked_ms_per_step));
  out += row("peak memory", format_bytes(result.peak_bytes));
  out += row("loss", fmt::format("{} to {}", format_loss(result.first_loss),
                                 format_loss(result.last_loss)));
  return out;
}

int Bench::run(Session& session) {
  train::BenchmarkOptions options = options_;
  if (verbose_ || (!json_ && session.console.diagnostics_are_seen())) {
    options.progress = [&](std::int64_t block, double ms_per_step) {
      session.console.diagnose(
          fmt::format("block {} of {}: {:.2f} ms a step", block + 1, options_.blocks, ms_per_step));
    };
  }
  const train::BenchmarkResult result = session.engine.benchmark(options);
  session.console.print(json_ ? to_json(result).dump() + '\n' : to_table(result));
  if (!result.profile) return kSuccess;
  if (!json_) session.console.print('\n' + profile_table(*result.profile));
  write_profile(profile_, to_json(result), *result.profile);
  return kSuccess;
}

}  // namespace

std::unique_ptr<Subcommand> add_bench(CLI::App& program) {
  return std::make_unique<Bench>(
      *program.add_subcommand("bench", "time training steps on this machine"));
}

}  // namespace cajal::cli

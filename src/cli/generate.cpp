// cajal generate
#include <fmt/format.h>

#include "cajal/error.h"
#include "cli/common_flags.h"
#include "cli/exit_codes.h"
#include "cli/flags.h"
#include "cli/session.h"
#include "cli/signals.h"

namespace cajal::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  cajal generate runs/cajal --prompt 'template <class T>'\n"
    "  cajal generate runs/cajal --prompt 'int main' --temperature 0.8 --top-k 40";

class Generate final : public Subcommand {
 public:
  explicit Generate(CLI::App& app) : Subcommand(app), flags_(app) {
    app.footer(kFooter);
    flags_.path("DIR", options_.directory, "a run's directory, or any folder with a model in it");
    flags_.group("Text");
    prompt_ = flags_.text("--prompt", options_.prompt, "TEXT", "what the text begins with", true);
    flags_.integer("--max-tokens", options_.max_tokens, "N",
                   "tokens to write at most (default: 200)");
    flags_.number("--temperature", options_.sampling.temperature, "T",
                  "0 always takes the likeliest token, over 1 is bolder (default: 1)",
                  {.most = 1e3});
    flags_.integer("--top-k", options_.sampling.top_k, "K",
                   "draw from the K likeliest; 0: from all (default: 0)", {0, 1 << 24});
    flags_.number("--top-p", options_.sampling.top_p, "P",
                  "draw from the likeliest that make up this share, 0 < P <= 1 (default: 1)",
                  {.least = 0.0, .least_open = true, .most = 1.0});
    flags_.integer("--seed", options_.seed, "S",
                   "of the draws: same seed, same text (default: 1337)", {.least = 0});
    flags_.group("Machine");
    add_device(flags_, options_.device);
    add_threads(flags_, options_.threads);
    add_verbose(flags_, verbose_);
  }

  void check(Session& session) override {
    constexpr const char* kExample = "cajal generate runs/cajal --prompt 'int main'";
    if (options_.directory.empty())
      throw InvalidArgument("generate needs the directory of a run", kExample);
    if (prompt_->count() == 0) throw InvalidArgument("generate needs --prompt", kExample);
    if (!std::filesystem::is_directory(options_.directory)) {
      throw InvalidArgument(fmt::format("no directory {}", options_.directory.string()),
                            "give the --out directory of a cajal train");
    }
    check_threads(session, options_.threads);
  }

  int run(Session& session) override;

 private:
  Flags flags_;
  CLI::Option* prompt_ = nullptr;
  train::GenerateOptions options_;
};

std::string describe(const train::GenerateSummary& summary) {
  const double rate =
      summary.seconds > 0.0 ? static_cast<double>(summary.new_tokens) / summary.seconds : 0.0;
  std::string line = fmt::format(
      "{} tokens in {:.2f} s, {:.1f} tokens/s, {} host waits; prompt {} tokens in {:.3f} s",
      summary.new_tokens, summary.seconds, rate, summary.host_waits, summary.prompt_tokens,
      summary.prompt_seconds);
  if (summary.end_of_text) line += "; the model ended the text";
  if (summary.context_full) line += "; the model's longest sequence is reached";
  return line;
}

int Generate::run(Session& session) {
  SignalTrap trap(nullptr, -1);
  session.console.print(options_.prompt);
  const auto sink = [&](std::string_view text) {
    session.console.print(text);
    if (session.console.output_error() != 0) trap.request_stop();
  };
  train::GenerateSummary summary;
  try {
    summary = session.engine.generate(options_, sink, trap.stop());
  } catch (...) {
    session.console.line("");  // The message begins on a line of its own.
    throw;
  }
  session.console.line("");
  if (verbose_ || session.console.diagnostics_are_seen())
    session.console.diagnose(describe(summary));
  return trap.received() != 0 ? exit_code_of_signal(trap.received()) : kSuccess;
}

}  // namespace

std::unique_ptr<Subcommand> add_generate(CLI::App& program) {
  return std::make_unique<Generate>(
      *program.add_subcommand("generate", "write text with a trained model"));
}

}  // namespace cajal::cli

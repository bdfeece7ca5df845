// cajal train
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "cli/common_flags.h"
#include "cli/config_file.h"
#include "cli/exit_codes.h"
#include "cli/flags.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "cli/train_view.h"

namespace cajal::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  cajal train --minutes 2                   a first model, from the C++ headers\n"
    "  cajal train notes/ --preset cajal-20m --steps 2000 --out runs/notes\n"
    "  cajal train --resume --out runs/notes --steps 4000\n"
    "\n"
    "Ctrl-C saves a checkpoint and ends; a second one ends at once. An absent flag\n"
    "takes the resumed run's value, else the preset's.";

constexpr std::int64_t kMostTokens = std::int64_t{1}
                                     << 24;  // Of one dimension; far over any machine.

class Train final : public Subcommand {
 public:
  explicit Train(CLI::App& app) : Subcommand(app), flags_(app) {
    app.footer(kFooter);
    declare_model();
    declare_run();
    declare_optimizer();
    declare_machine();
  }

  void check(Session& session) override {
    if (!config_.empty()) apply_config(config_, flags_.all());
    check_threads(session, options_.threads);
  }

  int run(Session& session) override;

 private:
  void declare_model();
  void declare_run();
  void declare_optimizer();
  void declare_machine();
  std::string next_command(const std::string& program, bool interrupted) const;
  int train(Session& session, SignalTrap& trap) const;
  int finish(Session& session, const TrainView& view, const train::TrainSummary& summary) const;

  Flags flags_;
  train::TrainOptions options_;
  std::filesystem::path config_;
};

void Train::declare_model() {
  flags_.paths("DATA", options_.data,
               "text files, folders of them, or .bin token shards (default: the headers of the C++ "
               "standard library on this machine)");
  flags_.group("Model");
  CLI::Option* preset = flags_.choice("--preset", options_.preset, preset_choices(), "P",
                                      preset_names() + " (default: tiny)");
  CLI::Option* init = flags_.text("--init", options_.init, "DIR",
                                  "start from the weights and tokenizer of this run");
  flags_.integer("--seq", options_.seq, "N", "tokens in a sequence (default: the model's longest)",
                 {1, kMostTokens});
  flags_.integer("--vocab-size", options_.vocab_size, "N",
                 "tokens that the tokenizer may learn, 257 to 65536 (default: the preset's)",
                 {257, 65536});
  flags_.choice("--parse-special", options_.parse_special,
                std::vector<Choice<bool>>{{"on", true}, {"off", false}}, "W",
                "on: <|endoftext|> and the like in the text are those tokens; off: they stay text "
                "(default: on)");
  flags_.number("--dropout", options_.dropout, "P",
                "share of activations dropped, 0 <= P < 1 (default: 0)",
                {.least = 0.0, .most = 1.0, .most_open = true});
  preset->excludes(init);
  init->excludes(preset);
}

void Train::declare_run() {
  flags_.group("Run");
  CLI::Option* steps =
      flags_.integer("--steps", options_.steps, "N",
                     "stop after N steps, those of a resumed run included (default: the preset's)");
  CLI::Option* minutes =
      flags_.number("--minutes", options_.minutes, "X",
                    "stop after X minutes instead, those of a resumed run included; 0.5 is half a "
                    "minute",
                    {.least = 0.0, .least_open = true, .most = 1e7});
  flags_.text("--out", options_.out, "DIR", "the run's directory (default: runs/cajal)");
  CLI::Option* resume =
      flags_.boolean("--resume", options_.resume, "go on from the checkpoint in --out");
  flags_.integer("--eval-every", options_.eval_every, "N",
                 "steps between losses on held-out text; 0: only at the end (default: 100)",
                 {.least = 0});
  flags_.integer("--save-every", options_.save_every, "N",
                 "steps between checkpoints; 0: only at the end (default: 500)", {.least = 0});
  flags_.integer("--keep", options_.keep, "N",
                 "newest checkpoints to keep, beside the best by validation loss (default: 1)",
                 {1, 1'000'000});
  flags_.integer("--early-stop", options_.early_stop, "N",
                 "end after N evaluations in a row without a better loss; 0: do not (default: 0)",
                 {.least = 0});
  flags_.choice("--checkpoint", options_.checkpoint,
                std::vector<Choice<train::CheckpointMode>>{{"async", train::CheckpointMode::async},
                                                           {"sync", train::CheckpointMode::sync}},
                "M",
                "async: write checkpoints while training goes on; sync: wait for the disk, for "
                "comparison (default: async)");
  flags_.integer("--seed", options_.seed, "N",
                 "of weights, order of text and dropout (default: 1337)", {.least = 0});
  flags_.text("--config", config_, "FILE",
              "flags from a TOML file: steps = 500 is --steps 500; the command line wins");
  steps->excludes(minutes);
  minutes->excludes(steps);
  // Both say where the weights come from.
  CLI::Option* init = app_->get_option("--init");
  resume->excludes(init);
  init->excludes(resume);
}

void Train::declare_optimizer() {
  flags_.group("Optimizer");
  flags_.integer("--batch", options_.batch, "N", "sequences at once (default: the preset's)",
                 {1, kMostTokens});
  flags_.integer("--accumulate", options_.accumulate, "N",
                 "batches whose gradients make one step (default: 1)", {1, kMostTokens});
  flags_.number("--lr", options_.learning_rate, "X",
                "highest learning rate (default: the preset's)",
                {.least = 0.0, .least_open = true});
  flags_.choice(
      "--schedule", options_.schedule,
      std::vector<Choice<train::ScheduleKind>>{{"constant", train::ScheduleKind::constant},
                                               {"cosine", train::ScheduleKind::cosine},
                                               {"linear", train::ScheduleKind::linear},
                                               {"wsd", train::ScheduleKind::wsd}},
      "S", "constant, cosine, linear or wsd: warm-up, stable, decay (default: cosine)");
  flags_.integer("--warmup", options_.warmup, "N", "steps of rising rate (default: the preset's)",
                 {.least = 0});
  flags_.number("--clip", options_.clip, "X",
                "largest norm of the gradient; 0: no limit (default: 1)", {});
  flags_.number("--weight-decay", options_.weight_decay, "X",
                "AdamW's, on matrices only (default: 0.1)", {});
}

void Train::declare_machine() {
  flags_.group("Machine");
  add_device(flags_, options_.device);
  add_dtype(flags_, options_.dtype);
  add_threads(flags_, options_.threads);
  flags_.choice("--sync", options_.sync, kSyncModes, "M",
                "step: the host waits only for back pressure; every-op: after every operation, for "
                "comparison "
                "(default: step)");
  flags_.integer("--max-in-flight", options_.max_in_flight, "N",
                 "steps given to the device before the host waits (default: 2)", {1, 1024});
  flags_.text("--trace", options_.trace, "FILE", "write what ran when, for ui.perfetto.dev");
  add_verbose(flags_, verbose_);
}

int Train::run(Session& session) {
  SignalTrap trap("cajal: stopping; Ctrl-C again ends at once\n", session.streams.err);
  const int code = train(session, trap);
  return trap.received() != 0 ? exit_code_of_signal(trap.received()) : code;
}

int Train::train(Session& session, SignalTrap& trap) const try {
  TrainView view(session, trap);
  session.log.debug("run directory {}", options_.out.string());
  const train::TrainSummary summary = session.engine.train(options_, view, trap.stop());
  session.console.clear();
  return finish(session, view, summary);
} catch (const train::Interrupted& interrupted) {
  session.console.clear();
  session.console.diagnose(fmt::format("cajal: {}", interrupted.what()));
  return kSuccess;  // what stopped it has its own exit code
}

int Train::finish(Session& session, const TrainView& view,
                  const train::TrainSummary& summary) const {
  session.console.print(
      describe_summary(summary, view.plan().value_or(train::RunPlan{}), options_.out));
  if (summary.steps == 0 && !summary.interrupted) {
    warn(session, fmt::format("the run already has {} steps; a larger --steps or --minutes goes on "
                              "with it",
                              summary.last_step));
  }
  session.console.line("\nnext: " + next_command(session.program, summary.interrupted));
  return kSuccess;
}

// A name in quotes where a shell would split or expand it.
std::string shell_word(const std::string& word) {
  const bool plain = word.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_./-+,:@%") == std::string::npos;
  if (plain && !word.empty()) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + '\'';
}

std::string Train::next_command(const std::string& program, bool interrupted) const {
  const std::string command = shell_word(program);
  const std::string directory = shell_word(options_.out.string());
  if (interrupted) return fmt::format("{} train --resume --out {}", command, directory);
  const char* prompt = options_.data.empty() ? "'template <class T>'" : "The";
  return fmt::format("{} generate {} --prompt {}", command, directory, prompt);
}

}  // namespace

std::unique_ptr<Subcommand> add_train(CLI::App& program) {
  return std::make_unique<Train>(*program.add_subcommand("train", "train a model from text"));
}

}  // namespace cajal::cli

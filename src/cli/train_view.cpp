#include "cli/train_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/format.h"

namespace cajal::cli {
namespace {

std::string row(std::string_view name, std::string_view value) {
  return fmt::format("{:<16}{}\n", name, value);
}

std::string corpus_text(const train::RunPlan& plan) {
  const data::CorpusStats& corpus = plan.corpus;
  std::string text;
  if (corpus.files > 0) {
    text = fmt::format("{} file{}, {}", format_integer(corpus.files), corpus.files == 1 ? "" : "s",
                       format_bytes(static_cast<std::size_t>(corpus.bytes)));
  }
  if (plan.tokens > 0) {
    text += fmt::format("{}{} tokens", text.empty() ? "" : ", ",
                        format_count(static_cast<double>(plan.tokens)));
  }
  if (corpus.repaired_bytes > 0) {
    text += fmt::format(", {} bad byte{} replaced", format_integer(corpus.repaired_bytes),
                        corpus.repaired_bytes == 1 ? "" : "s");
  }
  const std::string skipped = data::describe_skipped(corpus);
  if (!skipped.empty()) text += fmt::format(" (skipped: {})", skipped);
  return text;
}

std::string words(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string waits_text(const train::TrainSummary& summary) {
  const double steps = static_cast<double>(std::max<std::int64_t>(summary.steps, 1));
  std::int64_t total = 0;
  std::string reasons;
  for (int i = 0; i < kWaitReasons; ++i) {
    const WaitCount& wait = summary.waits[static_cast<std::size_t>(i)];
    total += wait.count;
    if (wait.count == 0) continue;
    reasons +=
        row("", fmt::format("{:<14} {:>8.3f}   {:.2f} ms blocked", words(name_of(WaitReason(i))),
                            static_cast<double>(wait.count) / steps,
                            static_cast<double>(wait.blocked_ns) / 1e6 / steps));
  }
  return row("host waits", fmt::format("{:.3f} a step", static_cast<double>(total) / steps)) +
         reasons;
}

std::string checkpoint_plan(const train::RunPlan& plan) {
  const std::string size = format_bytes(plan.checkpoint_bytes);
  const std::string every = fmt::format("{} every {} steps", size, format_integer(plan.save_every));
  switch (plan.checkpoint_way) {
    case train::CheckpointWay::device_copy:
      return every + ", written beside training";
    case train::CheckpointWay::host_copy:
      return every + ", copied to the host, written beside training";
    case train::CheckpointWay::in_parts:
      return every + ", in parts, while the device waits";
    case train::CheckpointWay::at_the_end:
      break;
  }
  return size + " at the end";
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0.0 : values[values.size() / 2];
}

/// What the checkpoints on the way and at the end have cost, as medians.
std::string checkpoints_text(const train::TrainSummary& summary) {
  if (summary.checkpoints.empty()) return {};
  std::vector<double> device;
  std::vector<double> blocked;
  std::vector<double> written;
  for (const train::CheckpointReport& report : summary.checkpoints) {
    device.push_back(report.device_ms);
    blocked.push_back(report.blocked_ms);
    written.push_back(report.write_s);
  }
  return row("checkpoints",
             fmt::format("{} of {}; each {:.1f} ms of the device, {:.1f} ms of the host,",
                         summary.checkpoints.size(), format_bytes(summary.checkpoints.back().bytes),
                         median(device), median(blocked))) +
         row("", fmt::format("{:.2f} s to write", median(written)));
}

std::string loss_rows(const train::TrainSummary& summary, const train::RunPlan& plan) {
  const auto cell = [](std::optional<double> loss) {
    return loss ? format_loss(*loss) : std::string("-");
  };
  std::string out = fmt::format("{:<16}{:>10}{:>10}\n", "", "before", "after");
  const bool trained = summary.steps > 0;
  out +=
      fmt::format("{:<16}{:>10}{:>10}\n", "training loss", trained ? cell(summary.first_loss) : "-",
                  trained ? cell(summary.last_loss) : "-");
  // The loss before the first step is none after it.
  const bool evaluated = summary.validated_step > plan.start_step || !trained;
  out += fmt::format("{:<16}{:>10}{:>10}", "validation loss", cell(summary.first_validation_loss),
                     evaluated ? cell(summary.last_validation_loss) : "-");
  const bool earlier = evaluated && summary.validated_step != summary.last_step;
  if (earlier) out += fmt::format("   (at step {})", summary.validated_step);
  if (plan.unigram_entropy > 0.0) {
    out +=
        fmt::format("{}   (token frequencies alone: {})",
                    earlier ? fmt::format("\n{:<36}", "") : "", format_loss(plan.unigram_entropy));
  }
  return out + '\n';
}

}  // namespace

TrainView::TrainView(Session& session, SignalTrap& trap) : session_(session), trap_(trap) {}

void TrainView::on_stage(std::string_view stage, double share) {
  const bool begins = stage != stage_;
  stage_ = stage;
  if (!session_.console.live()) {
    if (begins) session_.console.line(stage);
  } else if (throttle_.due(Clock::now()) || begins) {
    session_.console.draw(
        render_stage(stage, share, session_.console.columns(), session_.console.color()));
  }
  stop_when_closed();
}

void TrainView::on_warning(std::string_view line) { warn(session_, line); }

void TrainView::on_plan(const train::RunPlan& plan) {
  plan_ = plan;
  trap_.set_notice("cajal: saving a checkpoint; Ctrl-C again ends at once\n");
  pace_.emplace(Clock::now(), plan.start_step);
  session_.console.clear();
  session_.console.print(describe_plan(plan));
  // Until the first step reports, the live line says that work goes on.
  session_.console.draw(
      render_stage("first evaluation", 0.0, session_.console.columns(), session_.console.color()));
  stop_when_closed();
}

void TrainView::on_step(const train::StepReport& report) {
  const auto now = Clock::now();
  if (!session_.console.live()) {
    session_.console.line(plain_step(report, plan_ ? plan_->steps : 0));
  } else if (!trap_.stop() && throttle_.due(now)) {
    draw(report, now);
  }
  stop_when_closed();
}

void TrainView::draw(const train::StepReport& report, Clock::time_point now) {
  ProgressView view{.step = report.step,
                    .steps = plan_ ? plan_->steps : 0,
                    .share = 0.0,
                    .loss = report.loss,
                    .tokens_per_s = report.tokens_per_s,
                    .device_busy = report.device_busy,
                    .host_waits = report.host_waits,
                    .seconds_left = std::nullopt};
  if (view.steps > 0) {
    view.share = static_cast<double>(view.step) / static_cast<double>(view.steps);
    if (pace_) view.seconds_left = pace_->seconds_left(now, view.step, view.steps);
  } else if (plan_ && plan_->minutes > 0.0 && pace_) {
    const double all = 60.0 * plan_->minutes;
    const double gone = pace_->seconds_since_start(now);
    view.share = gone / all;
    view.seconds_left = std::max(all - gone, 0.0);
  }
  session_.console.draw(
      render_progress(view, session_.console.columns(), session_.console.color()));
}

void TrainView::on_evaluation(const train::EvalReport& report) {
  session_.console.line(
      fmt::format("step {} validation loss {}", report.step, format_loss(report.loss)));
  stop_when_closed();
}

void TrainView::on_checkpoint(const train::CheckpointReport& report) {
  session_.console.line(fmt::format("step {} saved {}", report.step, report.directory.string()));
  stop_when_closed();
}

void TrainView::stop_when_closed() {
  if (session_.console.output_error() != 0) trap_.request_stop();
}

std::string describe_plan(const train::RunPlan& plan) {
  std::string out = row("device", plan.device);
  out += row("model",
             fmt::format("{} parameters, {}", format_count(static_cast<double>(plan.parameters)),
                         name_of(plan.dtype)));
  if (plan.batch > 0) {
    const std::int64_t tokens = plan.batch * plan.seq * plan.accumulate;
    std::string shape = fmt::format("{} x {} tokens", plan.batch, plan.seq);
    if (plan.accumulate > 1) shape += fmt::format(", {} times", plan.accumulate);
    out += row("a step", fmt::format("{} = {} tokens", shape, format_integer(tokens)));
  }
  if (const std::string text = corpus_text(plan); !text.empty()) out += row("text", text);
  out +=
      row("memory", fmt::format("{} state, {} activations ({} without reuse)",
                                format_bytes(plan.state_bytes), format_bytes(plan.activation_bytes),
                                format_bytes(plan.activation_bytes_unshared)));
  out += row("checkpoint", checkpoint_plan(plan));
  if (plan.start_step > 0) out += row("resumed", fmt::format("after step {}", plan.start_step));
  return out + '\n';
}

std::string describe_summary(const train::TrainSummary& summary, const train::RunPlan& plan,
                             const std::filesystem::path& directory) {
  std::string out = '\n' + loss_rows(summary, plan) + '\n';
  out += row("steps", fmt::format("{} in {}", format_integer(summary.steps),
                                  format_duration(summary.seconds)));
  out += row("tokens/s", fmt::format("{:.0f}", summary.tokens_per_s));
  out += row("device busy", format_share(summary.device_busy));
  out += waits_text(summary);
  out += checkpoints_text(summary);
  out += row("skipped updates", format_integer(summary.skipped));
  out += row("peak memory", format_bytes(summary.peak_bytes));
  out += row("checkpoint", fmt::format("{} (step {})", directory.string(), summary.last_step));
  return out;
}

}  // namespace cajal::cli

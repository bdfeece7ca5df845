#include "cli/runner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace cajal::cli::testing {
namespace {

using File = std::unique_ptr<std::FILE, decltype([](std::FILE* file) { std::fclose(file); })>;

File scratch_file() {
  File file(std::tmpfile());
  if (!file) throw std::runtime_error("no temporary file");
  return file;
}

std::string contents(std::FILE* file) {
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  return text;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {
    if (number < 0) throw std::runtime_error("no terminal to test with");
  }
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

int run_with(const std::vector<std::string>& arguments, const Engine& engine, Streams streams) {
  std::vector<const char*> words{"cajal"};
  for (const std::string& argument : arguments) words.push_back(argument.c_str());
  return run(words, engine, streams);
}

// Until the other side of the terminal is closed.
std::string read_all(int descriptor) {
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = ::read(descriptor, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

train::TrainSummary scripted_train(Script& script, const train::TrainOptions& options,
                                   train::TrainObserver& observer) {
  ++script.calls;
  script.train = options;
  observer.on_stage("tokenizer", 0.5);
  train::RunPlan plan;
  plan.device = "test processor";
  plan.parameters = 1234567;
  plan.batch = 4;
  plan.seq = 128;
  plan.steps = script.steps;
  plan.state_bytes = std::size_t{3} << 20;
  plan.activation_bytes = std::size_t{5} << 20;
  plan.activation_bytes_unshared = std::size_t{9} << 20;
  plan.unigram_entropy = 5.25;
  observer.on_plan(plan);
  for (std::int64_t step = 1; step <= script.steps; ++step) {
    train::StepReport report;
    report.step = step;
    report.loss = 7.5 / static_cast<double>(step);
    report.tokens_per_s = 12345.0;
    report.device_busy = 0.987;
    report.host_waits = 1;
    observer.on_step(report);
  }
  observer.on_evaluation({script.steps, 4.5});
  observer.on_checkpoint({.step = script.steps, .directory = options.out});
  train::TrainSummary summary;
  summary.steps = script.steps;
  summary.last_step = script.steps;
  summary.first_loss = 7.5;
  summary.last_loss = 2.5;
  summary.first_validation_loss = 7.4;
  summary.last_validation_loss = 4.5;
  summary.validated_step = script.steps;
  summary.tokens_per_s = 12345.0;
  summary.device_busy = 0.987;
  summary.waits[static_cast<std::size_t>(WaitReason::back_pressure)] = {script.steps, 6'000'000};
  return summary;
}

train::BenchmarkResult scripted_benchmark(Script& script, const train::BenchmarkOptions& options) {
  ++script.calls;
  script.benchmark = options;
  train::BenchmarkResult result;
  result.preset = options.preset;
  result.batch = options.batch;
  result.seq = 512;
  result.device = "test processor";
  result.dtype = options.dtype.value_or(DType::f32);
  result.sync = options.sync;
  result.ms_per_step = 12.5;
  result.ms_min = 12.0;
  result.ms_max = 13.0;
  result.first_loss = 7.5;
  if (options.profile_steps > 0) {
    result.profile = train::Profile{12.5, {{"linear", 24.0, 7.5}, {"gelu", 6.0, 2.5}}};
  }
  return result;
}

}  // namespace

Outcome run_cajal(std::vector<std::string> arguments, const Engine& engine) {
  const File out = scratch_file();
  const File err = scratch_file();
  const int code = run_with(arguments, engine, {::fileno(out.get()), ::fileno(err.get())});
  return {code, contents(out.get()), contents(err.get())};
}

bool have_terminals() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) return false;
  const int terminal = ::grantpt(master) == 0 && ::unlockpt(master) == 0
                           ? ::open(::ptsname(master), O_RDWR | O_NOCTTY)
                           : -1;
  if (terminal >= 0) ::close(terminal);
  ::close(master);
  return terminal >= 0;
}

Outcome run_cajal_on_terminal(std::vector<std::string> arguments, const Engine& engine,
                              int columns) {
  ::setenv("TERM", "xterm", 1);
  const Descriptor master(::posix_openpt(O_RDWR | O_NOCTTY));
  if (::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
    throw std::runtime_error("no terminal to test with");
  }
  Descriptor terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY));
  winsize size{};
  size.ws_row = 24;
  size.ws_col = static_cast<unsigned short>(columns);
  ::ioctl(terminal.get(), TIOCSWINSZ, &size);
  const File err = scratch_file();
  Outcome outcome;
  std::thread reader([&] { outcome.out = read_all(master.get()); });
  outcome.code = run_with(arguments, engine, {terminal.get(), ::fileno(err.get())});
  terminal.close();
  reader.join();
  outcome.err = contents(err.get());
  return outcome;
}

Engine scripted_engine(Script& script) {
  Engine engine;
  engine.train = [&](const train::TrainOptions& options, train::TrainObserver& observer,
                     const std::atomic<bool>&) {
    return scripted_train(script, options, observer);
  };
  engine.generate = [&](const train::GenerateOptions& options, const train::TextSink& sink,
                        const std::atomic<bool>&) {
    ++script.calls;
    script.generate = options;
    sink(" and");
    sink(" more");
    return train::GenerateSummary{};
  };
  engine.benchmark = [&](const train::BenchmarkOptions& options) {
    return scripted_benchmark(script, options);
  };
  return engine;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "cajal-cli-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& text) const {
  const auto file = path_ / name;
  std::ofstream(file, std::ios::binary) << text;
  return file.string();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace cajal::cli::testing

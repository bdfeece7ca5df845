// Real programs, compiled before and after they are mended and run on a fake device that is as slow
// as a seed wants: what they print must not change. Here a mistake of the front end shows as well.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "sync/compiled.h"
#include "sync/edits.h"
#include "sync/scan.h"

namespace cajal::sync::testing {
namespace {

/// CAJAL_SYNC_SEEDS sets how often each program runs.
int seeds() {
  const char* asked = std::getenv("CAJAL_SYNC_SEEDS");
  return asked != nullptr ? std::atoi(asked) : 40;
}

/// What a case of the corpus lacks to be a program: a main that calls it and looks at everything.
constexpr const char* kMetalMain = R"(
int main() {
  MTL::Device* device = MTL::CreateSystemDefaultDevice();
  Net net;
  net.queue = NS::TransferPtr(device->newCommandQueue());
  net.a = device->newBuffer(256, MTL::ResourceStorageModeShared);
  net.b = device->newBuffer(256, MTL::ResourceStorageModeShared);
  net.c = NS::TransferPtr(device->newBuffer(256, MTL::ResourceStorageModeShared));
  net.loss = device->newBuffer(256, MTL::ResourceStorageModeShared);
  for (int n = 0; n < 6; ++n) {
    std::printf("%.6f", net.run(n));
    for (MTL::Buffer* buffer : {net.a, net.b, net.c.get(), net.loss}) {
      std::printf(" %.6f", static_cast<float*>(buffer->contents())[0]);
    }
    std::printf("\n");
  }
  return 0;
}
)";
constexpr const char* kCudaMain = R"(
int main() {
  Net net;
  cudaStreamCreate(&net.stream);
  for (float** one : {&net.a, &net.b, &net.c, &net.loss}) {
    cudaMallocHost(one, 256);
    for (int i = 0; i < 64; ++i) (*one)[i] = 1.0f + i;
  }
  for (int n = 0; n < 6; ++n) {
    std::printf("%.6f", net.run(n));
    for (float* one : {net.a, net.b, net.c, net.loss}) std::printf(" %.6f", one[0]);
    std::printf("\n");
  }
  return 0;
}
)";

struct Candidate {
  std::string path;
  std::string main;  ///< Put behind the text to run it.
};

/// The programs, and those cases that all stand around one class.
std::vector<Candidate> candidates(Api api) {
  const std::string extension = api == Api::metal ? ".cpp" : ".cu";
  std::vector<Candidate> out;
  const auto gather = [&](const char* folder, bool program) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != extension) continue;
      const std::string path = entry.path().string();
      const bool runs = read_file(path).find("float Net::run(int n)") != std::string::npos;
      if (program) out.push_back({path, {}});
      if (!program && runs) out.push_back({path, api == Api::metal ? kMetalMain : kCudaMain});
    }
  };
  gather(CAJAL_SYNC_PROGRAMS_FOLDER, true);
  gather(CAJAL_SYNC_CASES, false);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

/// The text without these waits: a call that a check looks at gives its success instead.
std::string without_waits(const FileScan& scan, std::vector<std::size_t> waits, Api api) {
  std::sort(waits.begin(), waits.end(), [&](std::size_t one, std::size_t other) {
    return scan.unit.wait_texts[one].begin > scan.unit.wait_texts[other].begin;
  });
  std::string text = scan.text;
  for (const std::size_t wait : waits) {
    const WaitText& where = scan.unit.wait_texts[wait];
    text.replace(where.begin, where.end - where.begin,
                 api == Api::cuda ? "cudaSuccess" : "(void)0");
  }
  return text;
}

/// Runs as it stands, mended in several ways, without the redundant waits, without any, and the
/// mended one without each wait that was kept.
struct Plan {
  std::string name;
  int kept = 0;
};

class Runner {
 public:
  explicit Runner(Api api) : api_(api) {}

  void add(const Candidate& candidate) {
    const std::string name = std::filesystem::path(candidate.path).filename().string();
    const FileScan scan = scan_text(candidate.path, read_file(candidate.path), {});
    EXPECT_TRUE(scan.unit.unparsed.empty()) << name << ":" << scan.unit.unparsed.front().first
                                            << ": " << scan.unit.unparsed.front().second;
    if (!candidate.main.empty() && !scan.decisions.missing.empty()) return;
    const Fix fix = plan_fix(scan, {});
    for (const std::string& note : fix.notes) std::cout << note << "\n";
    std::vector<std::size_t> redundant;
    for (std::size_t i = 0; i < scan.decisions.waits.size(); ++i) {
      if (scan.decisions.waits[i].verdict == Verdict::redundant) redundant.push_back(i);
    }
    redundant_ += static_cast<int>(redundant.size());
    removed_ += fix.removed;
    moved_ += fix.moved;
    Plan plan{name, 0};
    put(name + " before", scan.text, candidate.main, false);
    put(name + " after", fix.after, candidate.main, false);
    // The verdicts by themselves, whatever the rewriter made of them.
    put(name + " dropped", without_waits(scan, redundant, api_), candidate.main, false);
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < scan.unit.wait_texts.size(); ++i) all.push_back(i);
    put(name + " bare", without_waits(scan, all, api_), candidate.main, true);
    if (candidate.main.empty()) plan.kept = put_more(name, scan, fix);
    plans_.push_back(plan);
  }

  void run() {
    std::string why;
    const auto got = run_compiled(api_, sources_, seeds(), why);
    ASSERT_EQ(got.size(), sources_.size()) << why;
    int kept = 0;
    int needed = 0;
    int bare = 0;
    const auto differs = [&](const std::string& name, const Outcome& known) {
      const Outcome& now = got.at(name);
      return now.outputs > 1 || now.output != known.output;
    };
    for (const Plan& plan : plans_) {
      const Outcome& before = got.at(plan.name + " before");
      EXPECT_EQ(before.outputs, 1) << plan.name << " races as it stands";
      for (const char* changed : {" after", " joined", " bounded", " dropped"}) {
        const auto found = got.find(plan.name + changed);
        if (found == got.end()) continue;
        const Outcome& now = found->second;
        EXPECT_EQ(now.outputs, 1) << plan.name << changed << ": it races now";
        EXPECT_EQ(now.output, before.output) << plan.name << changed;
      }
      EXPECT_EQ(before.output.find("misuse"), std::string::npos) << before.output;
      bare += differs(plan.name + " bare", before);
      kept += plan.kept;
      for (int i = 0; i < plan.kept; ++i) {
        const bool shows = differs(plan.name + " without " + std::to_string(i), before);
        needed += shows;
        if (!shows) std::cout << plan.name << ": wait " << i << " of those kept is not missed\n";
      }
    }
    std::cout << plans_.size() << " programs, " << seeds() << " seeds each: " << redundant_
              << " waits redundant, " << removed_ << " removed and " << moved_ << " moved by fix\n"
              << "without any wait " << bare << " print something else; of " << kept
              << " waits kept in whole programs " << needed << " are missed when they go alone\n";
    // The check can fail: nearly every program shows when its waits are all taken away.
    EXPECT_GE(bare * 10, static_cast<int>(plans_.size()) * 6);
    EXPECT_GE(needed * 2, kept);
    EXPECT_GT(redundant_, 20);
  }

 private:
  /// For whole programs: mended with the bolder options, and without each wait that was kept. Gives
  /// the number of those.
  int put_more(const std::string& name, const FileScan& scan, const Fix& fix) {
    FixOptions options;
    options.batch = true;
    put(name + " joined", plan_fix(scan, options).after, {}, false);
    options.strategic = Strategic::loop;
    put(name + " bounded", plan_fix(scan, options).after, {}, false);
    const FileScan mended = scan_text(scan.path, fix.after, {});
    const std::size_t kept = mended.unit.wait_texts.size();
    for (std::size_t i = 0; i < kept; ++i) {
      put(name + " without " + std::to_string(i), without_waits(mended, {i}, api_), {}, true);
    }
    return static_cast<int>(kept);
  }

  void put(const std::string& name, const std::string& text, const std::string& main,
           bool any_other) {
    sources_.push_back({name, text + main, any_other});
  }

  Api api_;
  std::vector<Source> sources_;
  std::vector<Plan> plans_;
  int redundant_ = 0;
  int removed_ = 0;
  int moved_ = 0;
};

void run_all(Api api) {
  if (find_compiler().empty()) GTEST_SKIP() << "no C++ compiler answers on this machine";
  Runner runner(api);
  for (const Candidate& candidate : candidates(api)) runner.add(candidate);
  runner.run();
}

TEST(Run, MendedMetalProgramsPrintTheSame) { run_all(Api::metal); }

TEST(Run, MendedCudaProgramsPrintTheSame) { run_all(Api::cuda); }

}  // namespace
}  // namespace cajal::sync::testing

// Sources that are broken in every way: no crash, no hang, nothing written, and no edit inside a
// function that does not parse.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "sync/edits.h"
#include "sync/mutate.h"
#include "sync/scan.h"

namespace cajal::sync::testing {
namespace {

namespace fs = std::filesystem;

/// CAJAL_SYNC_MUTANTS sets how many.
int mutants() {
  const char* asked = std::getenv("CAJAL_SYNC_MUTANTS");
  return asked != nullptr ? std::atoi(asked) : 200;
}

struct Text {
  std::string name;
  std::string text;
};

std::vector<Text> read_texts() {
  std::vector<Text> out;
  for (const auto& entry : fs::directory_iterator(CAJAL_SYNC_CASES)) {
    const std::string text = read_file(entry.path().string());
    // The long ones take long, and break no differently.
    if (text.size() < 20000) out.push_back({entry.path().filename().string(), text});
  }
  std::sort(out.begin(), out.end(), [](const Text& a, const Text& b) { return a.name < b.name; });
  return out;
}

std::string lines_of(const std::string& text, unsigned first, unsigned last) {
  std::istringstream in(text);
  std::string out;
  unsigned number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (number >= first && number <= last) out += line + "\n";
  }
  return out;
}

/// What is wrong with the answer; empty for nothing.
std::string examine(const Text& one) {
  const FileScan scan = scan_text(one.name, one.text, {});
  if (scan.decisions.waits.size() != scan.unit.program.waits.size()) return "a wait has no verdict";
  if (scan.unit.wait_texts.size() != scan.unit.program.waits.size()) return "a wait has no text";
  const Fix fix = plan_fix(scan, {});
  if (fix.before != one.text) return "the text before is another";
  if (scan.unit.broken && fix.after != fix.before) return "an edit where nothing parses";
  for (const Function& function : scan.unit.program.functions) {
    if (function.opaque.empty() || function.end_line < function.line) continue;
    const std::string lines = lines_of(one.text, function.line, function.end_line);
    // The last line may have lost its end.
    const std::string body = lines.substr(0, lines.empty() ? 0 : lines.size() - 1);
    if (fix.after.find(body) == std::string::npos) {
      return "an edit inside " + function.name + ", which does not parse: " + function.opaque;
    }
  }
  return {};
}

/// An empty folder that is gone at the end.
class EmptyFolder {
 public:
  EmptyFolder() {
    std::string name = (fs::temp_directory_path() / "cajal-fuzz-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~EmptyFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  EmptyFolder(const EmptyFolder&) = delete;
  EmptyFolder& operator=(const EmptyFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// In a process of its own, in an empty folder, within some seconds.
std::string examine_apart(const Text& one, const fs::path& folder) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    constexpr unsigned kSeconds = 60;
    alarm(kSeconds);
    close(ends[0]);
    std::string wrong;
    try {
      wrong = chdir(folder.c_str()) == 0 ? examine(one) : "no folder";
    } catch (const std::exception& error) {
      wrong = std::string("throws: ") + error.what();
    }
    const auto written = write(ends[1], wrong.data(), wrong.size());
    _exit(written < 0 ? 1 : 0);
  }
  close(ends[1]);
  std::string wrong;
  char piece[4096];
  for (ssize_t got = 0; (got = read(ends[0], piece, sizeof piece)) > 0;) {
    wrong.append(piece, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    wrong += WTERMSIG(status) == SIGALRM ? "does not end"
                                         : "ends by signal " + std::to_string(WTERMSIG(status));
  }
  if (!fs::is_empty(folder)) wrong += "something was written";
  return wrong;
}

/// CAJAL_SYNC_KEEP names a folder for the texts that go wrong.
void expect_sound(const Text& one, const std::string& what) {
  static const EmptyFolder folder;
  const std::string wrong = examine_apart(one, folder.path());
  EXPECT_EQ(wrong, "") << what;
  const char* keep = std::getenv("CAJAL_SYNC_KEEP");
  if (wrong.empty() || keep == nullptr) return;
  static int count = 0;
  std::ofstream(fs::path(keep) / (std::to_string(count++) + "_" + one.name), std::ios::binary)
      << one.text;
}

TEST(Fuzz, MutatedCasesAreReadInPeace) {
  const std::vector<Text> texts = read_texts();
  const char* first = std::getenv("CAJAL_SYNC_SEED");
  const std::uint64_t begin = first != nullptr ? std::strtoull(first, nullptr, 10) : 1;
  for (std::uint64_t seed = begin; seed < begin + static_cast<std::uint64_t>(mutants()); ++seed) {
    std::mt19937_64 random(seed);
    const Text& one = texts[random() % texts.size()];
    const Text& other = texts[random() % texts.size()];
    expect_sound({one.name, mutate(one.text, other.text, random)},
                 one.name + ", seed " + std::to_string(seed));
  }
  std::cout << mutants() << " mutants of " << texts.size() << " cases\n";
}

TEST(Fuzz, TextsThatAreNoPrograms) {
  std::mt19937_64 random(7);
  std::string noise;
  for (int i = 0; i < 3000; ++i) noise += static_cast<char>(random());
  const std::string blank(1 << 20, ' ');
  for (const char* extension : {".mm", ".m", ".cpp", ".cu", ".hip"}) {
    const std::string name = std::string("x") + extension;
    for (const std::string& text :
         {std::string(), std::string("\n"), noise, blank, std::string(4000, '\0'),
          std::string("\xEF\xBB\xBFint x;"), std::string("#include \"") + name + "\"\n",
          std::string(30000, '{'), std::string(100000, '#'), std::string(3000, '\\') + "\n",
          std::string("#define A A A\nint x = A A A;\n")}) {
      expect_sound({name, text}, name + ": " + text.substr(0, 30));
    }
  }
}

std::string in_function(const std::string& inner) {
  return "#include <Metal/Metal.hpp>\nfloat run(MTL::CommandQueue* queue, MTL::Buffer* a, int n) "
         "{\n"
         "  MTL::CommandBuffer* one = queue->commandBuffer();\n  one->commit();\n"
         "  one->waitUntilCompleted();\n" +
         inner + "\n  return static_cast<float*>(a->contents())[0];\n}\n";
}

TEST(Fuzz, DeepNesting) {
  for (const int depth : {200, 1000, 3000}) {
    const std::string number = std::to_string(depth);
    const auto check = [&](const std::string& inner, const std::string& what) {
      expect_sound({"deep.cpp", in_function(inner)}, what + ", " + number + " deep");
    };
    check("n = " + nested("(", "n", ")", depth) + ";", "parentheses");
    check(nested("{", "n = 1;", "}", depth), "braces");
    check(nested("if (n) ", "n = 1;", "", depth), "conditions");
    check(nested("if (n > 1) n = 2; else ", "n = 1;", "", depth), "a chain of else");
    check("n = n" + nested(" + n", "", "", depth) + ";", "a long sum");
    check("n = " + nested("n ? n : ", "1", ";", depth), "choices");
    check("n = " + nested("-", "n", "", depth) + ";", "signs");
    check(nested("for (;;) { ", "break;", " }", depth), "loops");
    check("auto f = " + nested("[&] { ", "return n;", " };", depth), "closures");
    check("int z" + nested("[1]", "", "", depth) + ";", "an array of arrays");
    check(nested("while (n) ", "n = 1;", "", depth), "loops without braces");
    check("switch (n) {" + nested(" case 1:", "n = 2;", "", depth) + "}", "labels");
    check("a" + nested("->retain()", "", "", depth) + ";", "a chain of calls");
  }
}

}  // namespace
}  // namespace cajal::sync::testing

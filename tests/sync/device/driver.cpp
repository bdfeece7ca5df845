// Runs every program of the table under many seeds, each run in a process of its own, and prints
// for each program how many different outputs there were and what they were.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "fake.h"
#include "programs.h"

namespace {

std::string run_once(int (*program)(), std::uint64_t seed) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    alarm(20);
    fake::Device::get().reset(seed);
    const int status = program();
    std::fflush(stdout);
    _exit(status);
  }
  close(ends[1]);
  std::string output;
  char piece[4096];
  for (ssize_t got = 0; (got = read(ends[0], piece, sizeof piece)) > 0;) {
    output.append(piece, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) output += "status " + std::to_string(status) + "\n";
  return output;
}

std::string one_line(const std::string& output) {
  std::string line;
  for (const char c : output) line += c == '\n' ? '|' : c == '\t' ? ' ' : c;
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  const int seeds = argc > 1 ? std::atoi(argv[1]) : 20;
  for (const Program& program : programs) {
    std::set<std::string> outputs;
    for (int seed = 0; seed < seeds; ++seed) {
      outputs.insert(run_once(program.run, static_cast<std::uint64_t>(seed)));
      if (outputs.size() > 1 && program.stop_at_two) break;
    }
    std::printf("%s\t%zu\t%s\n", program.name, outputs.size(), one_line(*outputs.begin()).c_str());
  }
  return 0;
}

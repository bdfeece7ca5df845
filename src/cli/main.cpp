// The program's entry: the real engine behind the command line.
#include <string_view>

#include "cli/app.h"
#include "cli/sync.h"
#include "train/benchmark.h"
#include "train/generate.h"
#include "train/trainer.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "sync") return cajal::cli::run_sync(argv);
  const cajal::cli::Engine engine{cajal::train::train, cajal::train::generate,
                                  cajal::train::benchmark};
  return cajal::cli::run({argv, static_cast<std::size_t>(argc)}, engine);
}

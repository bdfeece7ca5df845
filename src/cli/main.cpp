// The program's entry: the real engine behind the command line.
#include "cli/app.h"
#include "train/benchmark.h"
#include "train/generate.h"
#include "train/trainer.h"

int main(int argc, char** argv) {
  const cajal::cli::Engine engine{cajal::train::train, cajal::train::generate,
                                  cajal::train::benchmark};
  return cajal::cli::run({argv, static_cast<std::size_t>(argc)}, engine);
}

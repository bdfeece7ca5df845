// Verdicts on every wait of a program, decided on the set of all of them.
#pragma once

#include <string>
#include <vector>

#include "sync/ir.h"

namespace cajal::sync {

enum class Verdict { required, deferrable, redundant, unknown, contract, timing };

std::string_view name_of(Verdict verdict);

struct Evidence {
  int file = 0;
  unsigned line = 0;
  std::string what;
};

struct Decision {
  Verdict verdict = Verdict::unknown;
  unsigned defer_to = 0;  ///< The line before which the wait could stand.
  std::string reason;
  std::vector<Evidence> evidence;
};

/// Host access that conflicts with work in flight and that nothing waits for.
struct Missing {
  int file = 0;
  unsigned line = 0;
  std::string function;
  std::string access;
  unsigned submitted_at = 0;
  std::string reason;
};

/// The loop, or the function where no loop waits, that waits most often.
struct Busiest {
  std::string function;
  bool loop = false;
  int waits = 0;
  int after = 0;
};

struct Decisions {
  std::vector<Decision> waits;  ///< Beside Program::waits.
  std::vector<Missing> missing;
  Busiest busiest;
  std::vector<std::vector<Evidence>> commits;  ///< For each wait, the commits whose work it ends.
};

/// Finds a largest set of waits (by greedy choice, loops first) that can go together without a new
/// conflict on any path, and says of each of the rest what needs it.
Decisions decide(const Program& program);

/// True when the program without the given waits has a conflict that it has not with them.
bool conflicts_without(const Program& program, const std::vector<int>& waits);

}  // namespace cajal::sync

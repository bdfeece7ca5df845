// What the front end says of one file, free of Clang.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sync/ir.h"

namespace cajal::sync {

/// Where the text of a wait stands, for the rewriter.
struct WaitText {
  unsigned begin = 0;  ///< Bytes of the call: [begin, end).
  unsigned end = 0;
  unsigned statement_begin = 0;  ///< Of the whole statement when the call is nothing but that, with
  unsigned statement_end = 0;    ///< its semicolon; 0, 0 otherwise.
  bool writable = false;         ///< Not in a macro, not in a header.
};

struct CommitText {
  unsigned line = 0;
  unsigned begin = 0;  ///< Of the statement.
  unsigned end = 0;    ///< Of the call, before the semicolon; 0 when it is no statement of its own.
  int compound = -1;   ///< Which braces it stands in, by their offset.
  std::string command;  ///< The command buffer as written.
  std::string function;
  bool objc = false;
  bool writable = false;
  bool reported = false;  ///< A completion handler of it looks at its status or error.
};

/// "id<MTLCommandBuffer> name = [queue commandBuffer];"
struct MakeText {
  unsigned line = 0;
  unsigned begin = 0;  ///< Bytes of the call that makes it.
  unsigned end = 0;
  int compound = -1;
  std::string name;
  std::string queue;  ///< As written.
};

struct UnitResult {
  Program program;
  std::vector<WaitText> wait_texts;  ///< Beside Program::waits.
  std::vector<CommitText> commits;
  std::vector<MakeText> makes;
  std::vector<std::pair<unsigned, std::string>> unparsed;  ///< Lines that the parser refused.
  /// Macros from headers that are not at hand, taken to evaluate their arguments.
  std::set<std::string> checks;
  std::set<unsigned> seen_waits;  ///< Lines on which the tree has a wait.
  bool broken = false;            ///< Parsing gave nothing at all.
};

enum class Language { none, objc, objcxx, cxx, cuda, hip };

}  // namespace cajal::sync

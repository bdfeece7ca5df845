#include "sync/frontend/checks.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace cajal::sync::frontend {
namespace {

constexpr std::array<std::string_view, 3> kUndeclared = {
    "undeclared identifier '", "undeclared function '", "implicit declaration of function '"};
/// What such macros have in their names, in small letters.
constexpr std::array<std::string_view, 17> kWords = {
    "check",  "err",    "assert", "safe",  "call",   "try",  "throw", "expect", "require",
    "verify", "ensure", "must",   "abort", "handle", "cuda", "hip",   "gpu"};
/// What the interfaces' functions begin with, a capital letter next.
constexpr std::array<std::string_view, 13> kInterface = {
    "cuda",  "hip",    "cu",    "nccl",       "cublas",   "cublasLt", "cudnn",
    "cufft", "curand", "nvrtc", "cusolverDn", "cusparse", "rocblas_"};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string small(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool sounds_like_a_check(std::string_view name) {
  const std::string letters = small(name);
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return letters.find(word) != std::string::npos;
  });
}

/// "cudaFree", "cuMemFree", not "cut".
bool is_of_the_interface(std::string_view word) {
  return std::any_of(kInterface.begin(), kInterface.end(), [&](std::string_view prefix) {
    return word.starts_with(prefix) && word.size() > prefix.size() &&
           (prefix.ends_with('_') ||
            std::isupper(static_cast<unsigned char>(word[prefix.size()])) != 0);
  });
}

/// The arguments of each use of the name, without the parentheses.
std::vector<std::string_view> uses_of(const std::string& name, const std::string& text) {
  std::vector<std::string_view> uses;
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    std::size_t open = at + name.size();
    if ((at > 0 && is_word(text[at - 1])) || (open < text.size() && is_word(text[open]))) continue;
    while (open < text.size() && std::isspace(static_cast<unsigned char>(text[open])) != 0) ++open;
    if (open == text.size() || text[open] != '(') return {};
    int depth = 0;
    std::size_t end = open;
    do {
      depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
    } while (depth > 0 && ++end < text.size());
    uses.push_back(std::string_view(text).substr(open + 1, end - open - 1));
  }
  return uses;
}

bool calls_the_interface(std::string_view arguments) {
  for (std::size_t i = 0; i < arguments.size();) {
    std::size_t end = i;
    while (end < arguments.size() && is_word(arguments[end])) ++end;
    if (is_of_the_interface(arguments.substr(i, end - i))) return true;
    i = std::max(end, i + 1);
  }
  return false;
}

}  // namespace

std::set<std::string> unknown_checks(const std::vector<std::pair<unsigned, std::string>>& errors,
                                     const std::string& text) {
  std::set<std::string> found;
  for (const auto& [line, message] : errors) {
    for (const std::string_view before : kUndeclared) {
      const std::size_t at = message.find(before);
      if (at == std::string::npos) continue;
      const std::size_t begin = at + before.size();
      const std::string name = message.substr(begin, message.find('\'', begin) - begin);
      if (sounds_like_a_check(name) && !is_of_the_interface(name) && !uses_of(name, text).empty()) {
        found.insert(name);
      }
    }
  }
  return found;
}

bool passes_on(const std::string& name, const std::string& text) {
  const auto uses = uses_of(name, text);
  return std::any_of(uses.begin(), uses.end(), calls_the_interface);
}

std::string stand_in(const std::string& name, const std::string& text) {
  if (passes_on(name, text)) return "-D" + name + "(...)=((void)0,##__VA_ARGS__)";
  // Within its own expansion the name is not expanded again.
  return "-D" + name + "(...)=(__extension__({extern int " + name + "(void);" + name + "();}))";
}

}  // namespace cajal::sync::frontend

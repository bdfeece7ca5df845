#include "sync/inventory.h"

#include <array>
#include <cctype>

namespace cajal::sync {
namespace {

constexpr std::array<std::string_view, 12> kWaits = {
    "waitUntilCompleted",    "waitUntilScheduled",   "cudaDeviceSynchronize",
    "cudaStreamSynchronize", "cudaEventSynchronize", "cudaThreadSynchronize",
    "hipDeviceSynchronize",  "hipStreamSynchronize", "hipEventSynchronize",
    "cuCtxSynchronize",      "cuStreamSynchronize",  "cuEventSynchronize"};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<SeenWait> run() {
    while (at_ < text_.size()) step();
    return std::move(found_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void advance() {
    if (peek() == '\n') {
      ++line_;
      line_start_ = true;
    }
    ++at_;
  }
  void step();
  void skip_line_comment();
  void skip_block_comment();
  void skip_quoted(char quote);
  void skip_raw();
  void directive();
  void word();

  std::string_view text_;
  std::size_t at_ = 0;
  unsigned line_ = 1;
  bool line_start_ = true;
  bool in_macro_ = false;
  int dead_depth_ = 0;  // How many #if deep since a dead branch began; 0 for live code.
  std::vector<SeenWait> found_;
};

void Lexer::skip_line_comment() {
  while (at_ < text_.size() && peek() != '\n') {
    if (peek() == '\\' && peek(1) == '\n') advance();
    advance();
  }
}

void Lexer::skip_block_comment() {
  at_ += 2;
  while (at_ < text_.size() && !(peek() == '*' && peek(1) == '/')) advance();
  if (at_ < text_.size()) at_ += 2;
}

void Lexer::skip_quoted(char quote) {
  advance();
  while (at_ < text_.size() && peek() != quote && peek() != '\n') {
    if (peek() == '\\' && at_ + 1 < text_.size()) advance();
    advance();
  }
  if (peek() == quote) advance();
}

void Lexer::skip_raw() {
  at_ += 2;
  std::string close = ")";
  while (at_ < text_.size() && peek() != '(' && close.size() < 18) close += text_[at_++];
  close += '"';
  const std::size_t end = text_.find(close, at_);
  const std::size_t stop = end == std::string_view::npos ? text_.size() : end + close.size();
  while (at_ < stop) advance();
}

void Lexer::directive() {
  ++at_;
  while (peek() == ' ' || peek() == '\t') ++at_;
  std::string name;
  while (is_word(peek())) name += text_[at_++];
  while (peek() == ' ' || peek() == '\t') ++at_;
  const bool opens = name == "if" || name == "ifdef" || name == "ifndef";
  if (dead_depth_ > 0) {
    if (opens) ++dead_depth_;
    if (name == "endif") --dead_depth_;
    if (dead_depth_ == 1 && (name == "else" || name == "elif")) dead_depth_ = 0;
  } else if (name == "if" && peek() == '0' && !is_word(peek(1))) {
    dead_depth_ = 1;
  }
  in_macro_ = name == "define";
}

void Lexer::word() {
  const std::size_t begin = at_;
  while (is_word(peek())) ++at_;
  const std::string_view word = text_.substr(begin, at_ - begin);
  if (word == "R" && peek() == '"') {
    --at_;
    skip_raw();
    return;
  }
  for (const std::string_view wait : kWaits) {
    if (word != wait) continue;
    // "- (void)waitUntilCompleted" declares a method.
    if (begin > 0 && text_[begin - 1] == ')' && wait.starts_with("wait")) continue;
    const Place place = dead_depth_ > 0 ? Place::dead : in_macro_ ? Place::macro : Place::code;
    found_.push_back({line_, std::string(word), place});
  }
}

void Lexer::step() {
  const char c = peek();
  if (c == '/' && peek(1) == '/') return skip_line_comment();
  if (c == '/' && peek(1) == '*') return skip_block_comment();
  if (c == '\n') {
    const bool continued =
        at_ > 0 &&
        (text_[at_ - 1] == '\\' || (at_ > 1 && text_[at_ - 1] == '\r' && text_[at_ - 2] == '\\'));
    if (!continued) in_macro_ = false;
    return advance();
  }
  if (c == '#' && line_start_) {
    line_start_ = false;
    return directive();
  }
  if (std::isspace(static_cast<unsigned char>(c)) == 0) line_start_ = false;
  if (c == '"' || c == '\'') return skip_quoted(c);
  if (is_word(c)) return word();
  advance();
}

}  // namespace

std::vector<SeenWait> find_waits(std::string_view text) { return Lexer(text).run(); }

bool mentions_wait(std::string_view text) {
  for (const std::string_view wait : kWaits) {
    if (text.find(wait) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace cajal::sync

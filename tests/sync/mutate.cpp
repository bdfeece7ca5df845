#include "sync/mutate.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace cajal::sync::testing {
namespace {

class Mutator {
 public:
  Mutator(std::string text, const std::string& other, std::mt19937_64& random)
      : text_(std::move(text)), other_(other), random_(random) {}

  std::string run() {
    for (std::size_t left = 1 + choose(4); left > 0; --left) once();
    return std::move(text_);
  }

 private:
  std::size_t choose(std::size_t count) { return count == 0 ? 0 : random_() % count; }
  std::size_t place() { return choose(text_.size() + 1); }

  void once();
  void flip_bytes();
  void copy_line();
  void drop_token();
  void line_ends();
  void insert(std::string_view what) { text_.insert(place(), what); }

  std::string text_;
  const std::string& other_;
  std::mt19937_64& random_;
};

void Mutator::flip_bytes() {
  for (std::size_t i = 1 + choose(8); i > 0 && !text_.empty(); --i) {
    text_[choose(text_.size())] = static_cast<char>(random_());
  }
}

void Mutator::copy_line() {
  const std::size_t begin = text_.rfind('\n', place());
  const std::size_t from = begin == std::string::npos ? 0 : begin;
  const std::size_t end = text_.find('\n', from + 1);
  if (end != std::string::npos) text_.insert(from, text_.substr(from, end - from));
}

/// A brace, bracket, semicolon or quote: what most edits in progress lack.
void Mutator::drop_token() {
  const std::size_t at = text_.find_first_of("{}()[];\"'<>@*", place());
  if (at != std::string::npos) text_.erase(at, 1);
}

void Mutator::line_ends() {
  std::string out;
  for (const char c : text_) {
    if (c == '\n') out += '\r';
    if (c != '\n' || choose(40) != 0) out += c;
  }
  text_ = std::move(out);
}

void Mutator::once() {
  switch (choose(13)) {
    case 0:
      return flip_bytes();
    case 1:
      text_.erase(place(), choose(80));
      return;
    case 2:
      text_.resize(place());
      return;
    case 3:
      return copy_line();
    case 4:
      return drop_token();
    case 5:
      return line_ends();
    case 6:
      return insert("\xC3\x28\xF0\x28\x8C\xBC\xFF\xFE");
    case 7:
      return insert(std::string_view("\0\0;\0", 4));
    case 8:
      return insert(std::string(20000 + choose(20000), choose(2) == 0 ? 'x' : ' '));
    case 9:
      return insert(std::vector<std::string_view>{
          "/*", "*/", "#if 0\n", "#endif\n", "\"", "R\"(", "\\\n", "#define commit\n", "template <",
          "@end\n", "^{", "]", "}", "{", "#include \"no\"\n"}[choose(15)]);
    case 10: {
      const std::size_t from = choose(other_.size());
      return insert(other_.substr(from, choose(400)));
    }
    case 11:
      text_.erase(0, choose(200));
      return;
    default:
      for (std::size_t i = choose(300); i > 0; --i) text_ += static_cast<char>(random_());
  }
}

}  // namespace

std::string mutate(const std::string& text, const std::string& other, std::mt19937_64& random) {
  return Mutator(text, other, random).run();
}

std::string nested(const std::string& open, const std::string& inner, const std::string& close,
                   int depth) {
  std::string out;
  for (int i = 0; i < depth; ++i) out += open;
  out += inner;
  for (int i = 0; i < depth; ++i) out += close;
  return out;
}

}  // namespace cajal::sync::testing

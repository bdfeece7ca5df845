#include "sync/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace cajal::sync {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 1;
    out.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

struct Step {
  char kind = ' ';
  int old_line = 0;
  int new_line = 0;
};

using Lines = std::vector<std::string_view>;

/// Shortest edit script (Myers 1986).
std::vector<Step> script(const Lines& a, const Lines& b) {
  const int n = static_cast<int>(a.size());
  const int m = static_cast<int>(b.size());
  const int most = n + m;
  std::vector<int> far(2 * most + 3, 0);
  std::vector<std::vector<int>> history;
  const auto at = [&](std::vector<int>& v, int k) -> int& { return v[k + most + 1]; };
  for (int d = 0; d <= most; ++d) {
    history.push_back(far);
    for (int k = -d; k <= d; k += 2) {
      const bool down = k == -d || (k != d && at(far, k - 1) < at(far, k + 1));
      int x = down ? at(far, k + 1) : at(far, k - 1) + 1;
      while (x < n && x - k < m && a[x] == b[x - k]) ++x;
      at(far, k) = x;
      if (x < n || x - k < m) continue;
      std::vector<Step> steps;
      int px = n;
      int py = m;
      for (int back = d; back >= 0; --back) {
        std::vector<int>& v = history[back];
        const int kk = px - py;
        const bool came_down = kk == -back || (kk != back && at(v, kk - 1) < at(v, kk + 1));
        const int before_k = came_down ? kk + 1 : kk - 1;
        const int bx = back == 0 ? 0 : at(v, before_k);
        const int by = back == 0 ? 0 : bx - before_k;
        while (px > bx && py > by && a[px - 1] == b[py - 1]) {
          steps.push_back({' ', --px, --py});
        }
        if (back == 0) break;
        if (came_down) {
          steps.push_back({'+', px, --py});
        } else {
          steps.push_back({'-', --px, py});
        }
      }
      std::reverse(steps.begin(), steps.end());
      return steps;
    }
  }
  return {};
}

std::string line_text(char kind, std::string_view line) {
  std::string out(1, kind);
  out += line;
  if (line.empty() || line.back() != '\n') out += "\n\\ No newline at end of file\n";
  return out;
}

}  // namespace

std::string unified_diff(const std::string& before, const std::string& after,
                         const std::string& path) {
  if (before == after) return {};
  const Lines a = lines_of(before);
  const Lines b = lines_of(after);
  const std::vector<Step> steps = script(a, b);
  constexpr std::size_t kContext = 3;
  std::string out = fmt::format("--- {}\n+++ {}\n", path, path);
  for (std::size_t i = 0; i < steps.size();) {
    if (steps[i].kind == ' ') {
      ++i;
      continue;
    }
    const std::size_t begin = i > kContext ? i - kContext : 0;
    std::size_t last = i;
    for (std::size_t j = i; j < steps.size() && j <= last + 2 * kContext; ++j) {
      if (steps[j].kind != ' ') last = j;
    }
    const std::size_t end = std::min(steps.size(), last + kContext + 1);
    int old_count = 0;
    int new_count = 0;
    std::string body;
    for (std::size_t j = begin; j < end; ++j) {
      old_count += steps[j].kind != '+';
      new_count += steps[j].kind != '-';
      body += line_text(steps[j].kind,
                        steps[j].kind == '+' ? b[steps[j].new_line] : a[steps[j].old_line]);
    }
    out += fmt::format("@@ -{},{} +{},{} @@\n", steps[begin].old_line + 1, old_count,
                       steps[begin].new_line + 1, new_count);
    out += body;
    i = end;
  }
  return out;
}

}  // namespace cajal::sync

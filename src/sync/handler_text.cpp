#include "sync/handler_text.h"

#include <fmt/format.h>

#include <initializer_list>

#include "sync/text_edit.h"

namespace cajal::sync {
namespace {

std::string objc_report(const std::string& function) {
  return fmt::format(
      "NSLog(@\"{}:%d: command buffer failed, status %lu: %@\", __LINE__, (unsigned "
      "long)done.status, done.error);",
      function);
}

std::string cpp_report(const std::string& function) {
  return fmt::format(
      "fprintf(stderr, \"{}:%d: command buffer failed, status %lu: %s\\n\", __LINE__, "
      "static_cast<unsigned long>(done->status()), done->error() ? "
      "done->error()->localizedDescription()->utf8String() : \"no error\");",
      function);
}

}  // namespace

std::string handler_text(const CommitText& commit, const std::string& source) {
  const std::string indent = indent_at(source, commit.begin);
  const std::string step = indent_step(source, commit.begin);
  const std::string end = newline_of(source, commit.begin);
  std::string out;
  const auto line = [&](int depth, const std::string& text) {
    for (int i = 0; i < depth; ++i) out += step;
    out += text + end + indent;
  };
  if (commit.objc) {
    line(0, fmt::format("[{} addCompletedHandler:^(id<MTLCommandBuffer> done) {{", commit.command));
    line(1, "if (done.status == MTLCommandBufferStatusError) {");
    line(2, objc_report(commit.function));
    line(1, "}");
    line(0, "}];");
  } else {
    line(0, fmt::format("{}->addCompletedHandler(MTL::HandlerFunction([](MTL::CommandBuffer* done) "
                        "{{",
                        commit.command));
    line(1, "if (done->status() == MTL::CommandBufferStatusError) {");
    line(2, cpp_report(commit.function));
    line(1, "}");
    line(0, "}));");
  }
  return out;
}

bool needs_cstdio(const CommitText& commit, const std::string& source) {
  return !commit.objc && source.find("<cstdio>") == std::string::npos &&
         source.find("<stdio.h>") == std::string::npos;
}

}  // namespace cajal::sync

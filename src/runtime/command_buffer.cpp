#include "cajal/command_buffer.h"

#include <fmt/format.h>

#include <utility>

#include "cajal/error.h"
#include "runtime/backend.h"

namespace cajal {

std::string DeviceFault::describe() const {
  return fmt::format("operation '{}' failed in step {} on {}: {}", operation, step, device,
                     message);
}

CommandBuffer::CommandBuffer(std::shared_ptr<Device> device, std::string label)
    : device_(std::move(device)), label_(std::move(label)), recorded_at_(now()) {}

void CommandBuffer::require_recording(std::string_view call) const {
  if (committed_) {
    throw Error(fmt::format("{} on command buffer '{}' after its first commit", call, label_),
                "record a new one");
  }
}

void CommandBuffer::encode(std::string_view operation, std::vector<BufferUse> uses, Kernel kernel) {
  require_recording("encode");
  if (!kernel) throw InvalidArgument(fmt::format("operation '{}' has no kernel", operation));
  std::erase_if(uses, [](const BufferUse& use) { return !use.buffer; });
  commands_.push_back({std::string(operation), std::move(uses), std::move(kernel)});
  recorded_at_ = now();
}

void CommandBuffer::add_completed_handler(CompletedHandler handler) {
  require_recording("add_completed_handler");
  if (!handler) throw InvalidArgument(fmt::format("empty completed handler on '{}'", label_));
  handlers_.push_back(std::move(handler));
}

}  // namespace cajal

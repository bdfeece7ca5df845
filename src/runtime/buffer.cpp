#include "cajal/buffer.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "cajal/error.h"
#include "runtime/storage.h"

namespace cajal {
namespace {

bool ranges_meet(std::size_t a, std::size_t a_size, std::size_t b, std::size_t b_size) {
  return a_size != 0 && b_size != 0 && a < b + b_size && b < a + a_size;
}

}  // namespace

Buffer::Buffer(std::shared_ptr<Storage> storage, std::size_t offset, std::size_t size)
    : storage_(std::move(storage)), offset_(offset), size_(size) {
  const std::size_t available = storage_ ? storage_->size() : 0;
  if (offset > available || size > available - offset) {
    throw InvalidArgument(fmt::format("{} bytes from {} reach outside buffer '{}' of {} bytes",
                                      size, offset, label(), available));
  }
}

std::string_view Buffer::label() const { return storage_ ? storage_->label() : std::string_view{}; }

Buffer Buffer::slice(std::size_t offset, std::size_t size) const {
  if (offset > size_ || size > size_ - offset) {
    throw InvalidArgument(fmt::format("{} bytes from {} reach outside buffer '{}' of {} bytes",
                                      size, offset, label(), size_));
  }
  return {storage_, offset_ + offset, size};
}

bool Buffer::overlaps(const Buffer& other) const {
  if (!storage_ || !other.storage_) return false;
  if (storage_ == other.storage_) return ranges_meet(offset_, size_, other.offset_, other.size_);
  if (!storage_->bound() || !other.storage_->bound()) return false;
  // Different storages share bytes only when a plan has put both into one arena.
  const auto mine = reinterpret_cast<std::uintptr_t>(device_bytes());
  const auto theirs = reinterpret_cast<std::uintptr_t>(other.device_bytes());
  return ranges_meet(mine, size_, theirs, other.size_);
}

std::byte* Buffer::device_bytes() const {
  if (!storage_ || !storage_->bound()) return nullptr;
  return storage_->data() + offset_;
}

std::byte* Buffer::host_bytes(bool for_write) const {
  if (!storage_) throw Error("the host touches an absent buffer");
  if (!storage_->bound()) {
    throw Error(fmt::format("the host touches buffer '{}', which has no memory yet", label()),
                "bind its memory plan first");
  }
  if (!storage_->host_visible()) {
    throw Error(fmt::format("the host cannot see buffer '{}'", label()),
                "use CommandQueue::read or write");
  }
  storage_->check_host_access(offset_, size_, for_write);
  return device_bytes();
}

}  // namespace cajal

// Device memory and the host's view of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace cajal {

class Storage;  // one allocation of device memory (src/runtime/storage.h)

/// A byte range of device memory. A Buffer is a handle: copies share the memory, which lives until
/// the last handle is gone and no committed command buffer names it any more.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Storage> storage, std::size_t offset, std::size_t size);

  explicit operator bool() const { return storage_ != nullptr; }
  std::size_t size() const { return size_; }
  std::string_view label() const;

  /// A sub-range of this buffer; throws InvalidArgument when it reaches outside.
  Buffer slice(std::size_t offset, std::size_t size) const;

  /// True when both name at least one common byte.
  bool overlaps(const Buffer& other) const;

  /// Address for kernels that run on the device. Not for the host: use host_read and host_write,
  /// or CommandQueue::read and write. Null while planned memory is not bound yet.
  template <class T>
  T* device_data() const {
    return reinterpret_cast<T*>(device_bytes());
  }

  /// The host's view of memory that it shares with the device (CPU, Apple GPU). Valid when no
  /// committed work that touches these bytes is outstanding. Debug builds (and any device opened
  /// with check_host_access) check exactly that and throw an Error that names the operation and
  /// step which still read or write them.
  template <class T>
  std::span<const T> host_read() const {
    return {reinterpret_cast<const T*>(host_bytes(false)), size_ / sizeof(T)};
  }
  template <class T>
  std::span<T> host_write() const {
    return {reinterpret_cast<T*>(host_bytes(true)), size_ / sizeof(T)};
  }

  const std::shared_ptr<Storage>& storage() const { return storage_; }
  std::size_t offset() const { return offset_; }

 private:
  std::byte* device_bytes() const;
  std::byte* host_bytes(bool for_write) const;

  std::shared_ptr<Storage> storage_;
  std::size_t offset_ = 0;
  std::size_t size_ = 0;
};

}  // namespace cajal

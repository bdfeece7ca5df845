// One allocation of device memory, or a place inside one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace cajal {

class InFlightUses;

/// What a device says about the memory that it makes.
struct StorageTraits {
  bool host_visible = false;        ///< The host may touch it where it lies.
  bool checks_host_access = false;  ///< Refuse that while in-flight work uses it.
};

/// Shared by every Buffer on it. Its memory is there from the start (Device::allocate), or comes
/// later as a place inside an arena (Device::reserve, then MemoryPlan::bind).
class Storage {
 public:
  Storage(std::shared_ptr<std::byte> memory, std::size_t size, std::string label,
          StorageTraits traits);
  /// Without memory yet.
  Storage(std::size_t size, std::string label, StorageTraits traits);

  std::size_t size() const { return size_; }
  const std::string& label() const { return label_; }
  bool host_visible() const { return traits_.host_visible; }

  bool planned() const { return planned_; }  ///< Made by Device::reserve.
  bool bound() const { return memory_ != nullptr; }
  std::byte* data() const { return memory_.get(); }  ///< Null until bound.

  /// Takes the bytes [place, place + size()) of an arena and keeps it alive. Once, before any
  /// commit.
  void bind(const Storage& arena, std::size_t place);
  std::size_t place() const { return place_; }  ///< Offset in the allocation.

  /// Of the whole allocation: buffers that share an arena's bytes share their uses. Null where the
  /// device does not check host access.
  const std::shared_ptr<InFlightUses>& in_flight() const { return in_flight_; }

  /// Throws Error when in-flight work forbids the host this access.
  void check_host_access(std::size_t offset, std::size_t size, bool for_write) const;

 private:
  std::shared_ptr<std::byte> memory_;
  std::size_t place_ = 0;
  std::size_t size_ = 0;
  std::string label_;
  StorageTraits traits_;
  bool planned_ = false;
  std::shared_ptr<InFlightUses> in_flight_;
};

}  // namespace cajal

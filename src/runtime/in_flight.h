// Which bytes of device memory committed work still reads or writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/backend.h"

namespace cajal {

/// Whether devices check host access unless DeviceOptions says otherwise: in debug builds, and
/// where the build asks for it.
inline constexpr bool kCheckHostAccess = CAJAL_CHECK_HOST_ACCESS != 0;

/// One operation of one submission on a byte range [begin, end).
struct InFlightUse {
  const void* queue = nullptr;  ///< Tickets count within a queue.
  Ticket ticket = 0;
  std::int64_t step = 0;
  std::string operation;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool writes = false;
};

/// The uses of one allocation. Thread-safe: queues add and remove, any host thread asks.
class InFlightUses {
 public:
  void add(InFlightUse use);
  void remove(const void* queue, Ticket ticket);

  /// The first use that forbids the host to read, or to write, these bytes now.
  std::optional<InFlightUse> conflict(std::size_t begin, std::size_t end, bool host_writes) const;

 private:
  mutable std::mutex mutex_;
  std::vector<InFlightUse> uses_;
};

/// Holds everything that a submission touches registered for as long as it lives. Free of charge on
/// a device that does not check host access.
class InFlightScope {
 public:
  InFlightScope() = default;
  InFlightScope(const void* queue, const BackendSubmission& submission);
  ~InFlightScope();
  InFlightScope(InFlightScope&& other) noexcept;
  InFlightScope& operator=(InFlightScope&& other) noexcept;

 private:
  void add(const Buffer& buffer, InFlightUse use);

  const void* queue_ = nullptr;
  Ticket ticket_ = 0;
  std::vector<std::shared_ptr<InFlightUses>> registered_;
};

}  // namespace cajal

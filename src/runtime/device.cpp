#include "cajal/device.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "cajal/error.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/cuda/cuda_device.h"
#include "runtime/storage.h"

namespace cajal {
namespace {

/// "cuda:1" asks for the backend "cuda".
std::string_view backend_of(std::string_view device) { return device.substr(0, device.find(':')); }

}  // namespace

/// Outlives the device while buffers of it are alive.
struct Device::Accounting {
  std::atomic<std::size_t> held{0};
  std::atomic<std::size_t> peak{0};

  void add(std::size_t bytes) {
    const std::size_t total = held.fetch_add(bytes) + bytes;
    std::size_t seen = peak.load();
    while (seen < total && !peak.compare_exchange_weak(seen, total)) {
    }
  }
  void remove(std::size_t bytes) { held.fetch_sub(bytes); }
};

/// Host blocks that nobody holds, by capacity.
struct Device::StagingPool {
  struct Entry {
    std::shared_ptr<std::byte> memory;
    std::size_t capacity = 0;
    HostBlock block;
  };
  std::mutex mutex;
  std::multimap<std::size_t, std::unique_ptr<Entry>> free;

  std::unique_ptr<Entry> take(std::size_t capacity) {
    const std::lock_guard lock(mutex);
    const auto found = free.find(capacity);
    if (found == free.end()) return nullptr;
    auto entry = std::move(found->second);
    free.erase(found);
    return entry;
  }
  void give_back(std::unique_ptr<Entry> entry) {
    const std::lock_guard lock(mutex);
    const std::size_t capacity = entry->capacity;
    free.emplace(capacity, std::move(entry));
  }
};

std::shared_ptr<Device> Device::open(std::string_view name, DeviceOptions options) {
  if (name == "cpu") return open_cpu_device(options);
  const std::string_view wanted = backend_of(name);
  if (wanted == "cuda") return open_cuda_device(name, options);
  if (wanted == "metal") {
    throw InvalidArgument("this build has no metal backend", "use --device cpu");
  }
  throw InvalidArgument(fmt::format("there is no device '{}'", name),
                        fmt::format("this build has: {}", fmt::join(backends(), ", ")));
}

std::vector<std::string> Device::backends() {
  std::vector<std::string> names{"cpu"};
  if (cuda_built()) names.emplace_back("cuda");
  return names;
}

Device::Device()
    : accounting_(std::make_shared<Accounting>()), staging_(std::make_shared<StagingPool>()) {}

Buffer Device::allocate(std::size_t bytes, std::string label) {
  const std::size_t held = allocated_bytes();
  const std::size_t all = info().memory_bytes;
  std::shared_ptr<std::byte> memory;
  if (all == 0 || (held <= all && bytes <= all - held)) memory = allocate_device(bytes);
  if (!memory) {
    throw Error(fmt::format("{} has no room for buffer '{}': {} bytes wanted, {} of {} held",
                            info().name, label, bytes, held, all),
                "use a smaller batch, sequence or model");
  }
  accounting_->add(bytes);
  std::byte* const data = memory.get();
  const auto release = [keep = std::move(memory), accounting = accounting_, bytes](std::byte*) {
    accounting->remove(bytes);
  };
  return {std::make_shared<Storage>(std::shared_ptr<std::byte>(data, release), bytes,
                                    std::move(label), traits()),
          0, bytes};
}

Buffer Device::reserve(std::size_t bytes, std::string label) {
  return {std::make_shared<Storage>(bytes, std::move(label), traits()), 0, bytes};
}

StorageTraits Device::traits() const {
  return {.host_visible = info().shares_host_memory, .checks_host_access = checks_host_access()};
}

std::shared_ptr<HostBlock> Device::staging(std::size_t bytes) {
  constexpr std::size_t kSmallest = 64;
  const std::size_t capacity = std::bit_ceil(std::max(bytes, kSmallest));
  auto entry = staging_->take(capacity);
  if (!entry) {
    entry = std::make_unique<StagingPool::Entry>();
    entry->memory = allocate_host(capacity);
    if (!entry->memory)
      throw Error(fmt::format("no host memory for a transfer of {} bytes", bytes),
                  "use a smaller batch or model");
    entry->capacity = capacity;
  }
  entry->block = {entry->memory.get(), bytes};
  HostBlock* const block = &entry->block;
  // The holder keeps the entry; letting go hands it back, even after the device has gone.
  auto holder = std::shared_ptr<StagingPool::Entry>(
      entry.release(), [pool = staging_](StagingPool::Entry* done) {
        pool->give_back(std::unique_ptr<StagingPool::Entry>(done));
      });
  return {std::move(holder), block};
}

std::size_t Device::allocated_bytes() const { return accounting_->held.load(); }
std::size_t Device::peak_bytes() const { return accounting_->peak.load(); }

}  // namespace cajal

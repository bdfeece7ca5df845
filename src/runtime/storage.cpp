#include "runtime/storage.h"

#include <fmt/format.h>

#include <utility>

#include "cajal/error.h"
#include "runtime/in_flight.h"

namespace cajal {
namespace {

std::shared_ptr<InFlightUses> make_in_flight(StorageTraits traits) {
  return traits.checks_host_access ? std::make_shared<InFlightUses>() : nullptr;
}

}  // namespace

Storage::Storage(std::shared_ptr<std::byte> memory, std::size_t size, std::string label,
                 StorageTraits traits)
    : memory_(std::move(memory)),
      size_(size),
      label_(std::move(label)),
      traits_(traits),
      in_flight_(make_in_flight(traits)) {}

Storage::Storage(std::size_t size, std::string label, StorageTraits traits)
    : size_(size),
      label_(std::move(label)),
      traits_(traits),
      planned_(true),
      in_flight_(make_in_flight(traits)) {}

void Storage::bind(const Storage& arena, std::size_t place) {
  if (!planned_ || bound()) throw Error(fmt::format("buffer '{}' has memory already", label_));
  if (place > arena.size() || size_ > arena.size() - place) {
    throw Error(
        fmt::format("buffer '{}' does not fit into '{}' at {}", label_, arena.label(), place));
  }
  memory_ = std::shared_ptr<std::byte>(arena.memory_, arena.memory_.get() + place);
  place_ = arena.place_ + place;
  in_flight_ = arena.in_flight_;
}

void Storage::check_host_access(std::size_t offset, std::size_t size, bool for_write) const {
  if (!in_flight_) return;
  const auto use = in_flight_->conflict(place_ + offset, place_ + offset + size, for_write);
  if (!use) return;
  throw Error(fmt::format("the host {} buffer '{}' while '{}' of step {}, still in flight, {} it",
                          for_write ? "writes" : "reads", label_, use->operation, use->step,
                          use->writes ? "writes" : "reads"),
              "use a completed handler, or wait on the queue first");
}

}  // namespace cajal

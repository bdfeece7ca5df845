// XXH3-64: tells a changed file from the one that was written, at the speed of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct XXH3_state_s;

namespace cajal::train {

/// A plain file of some folder, as it was written.
struct ManifestEntry {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t xxh3 = 0;  ///< XXH3-64 of the contents.
  bool operator==(const ManifestEntry&) const = default;
};

/// Takes the bytes of a file in pieces. No guard against somebody who wants to deceive.
class Hasher {
 public:
  Hasher();

  void update(std::span<const std::byte> bytes);
  std::uint64_t bytes() const { return bytes_; }  ///< Taken so far.
  std::uint64_t value() const;                    ///< Of the bytes so far.

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
  std::uint64_t bytes_ = 0;
};

}  // namespace cajal::train

// A device that is none: its work runs on the host, at moments that a seed chooses. Each call of
// the fake API lets some of the submitted work happen; only a wait makes sure of it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

namespace fake {

/// One piece of work: it may start once everything in `after` is done.
struct Item {
  std::function<void()> work;
  std::vector<std::shared_ptr<Item>> after;
  bool done = false;
};
using Ref = std::shared_ptr<Item>;

/// Work in order.
struct Queue {
  std::deque<Ref> items;
  Ref last;
};

class Device {
 public:
  static Device& get();

  /// Forgets everything; the seed settles how slow the device is and when it runs.
  void reset(std::uint64_t seed);

  Ref submit(const std::shared_ptr<Queue>& queue, std::function<void()> work,
             std::vector<Ref> after = {});

  /// The host has made a call: some work may run now.
  void tick();

  /// Runs what `item` needs and no more.
  void finish(const Ref& item);
  void finish(const std::shared_ptr<Queue>& queue) { finish(queue->last); }
  void finish_all();

  bool chance(unsigned percent) { return random_() % 100 < percent; }

 private:
  void run_front(Queue& queue);
  bool step();

  std::mt19937_64 random_;
  unsigned speed_ = 0;  // Percent: how likely another piece runs at a tick.
  bool busy_ = false;   // Work that calls the API does not start other work.
  std::vector<std::shared_ptr<Queue>> queues_;
};

/// Ends the program with a line on what it did wrong.
[[noreturn]] void misuse(const char* what);

/// Stands for a kernel: every word becomes a mixture of all words of all buffers, numbers in [0,
/// 1), so that any other order or any other input shows.
void mix(const std::vector<std::pair<void*, std::size_t>>& buffers, std::uint64_t salt);

}  // namespace fake

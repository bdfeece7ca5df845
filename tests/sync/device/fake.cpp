#include "fake.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fake {

Device& Device::get() {
  static Device device;
  return device;
}

void Device::reset(std::uint64_t seed) {
  random_.seed(seed);
  // The slowest and the fastest device are tried first, then everything between.
  speed_ = seed == 0 ? 0 : seed == 1 ? 100 : static_cast<unsigned>(random_() % 100);
  busy_ = false;
  queues_.clear();
}

Ref Device::submit(const std::shared_ptr<Queue>& queue, std::function<void()> work,
                   std::vector<Ref> after) {
  auto item = std::make_shared<Item>();
  item->work = std::move(work);
  item->after = std::move(after);
  if (queue->items.empty() && std::find(queues_.begin(), queues_.end(), queue) == queues_.end()) {
    queues_.push_back(queue);
  }
  queue->items.push_back(item);
  queue->last = item;
  return item;
}

void Device::run_front(Queue& queue) {
  const Ref item = queue.items.front();
  for (const Ref& before : item->after) finish(before);
  if (item->done) return;
  queue.items.pop_front();
  const bool was_busy = busy_;
  busy_ = true;
  if (item->work) item->work();
  busy_ = was_busy;
  item->done = true;
  item->after.clear();
}

void Device::finish(const Ref& item) {
  if (item == nullptr) return;
  while (!item->done) {
    const auto home = std::find_if(queues_.begin(), queues_.end(), [&](const auto& queue) {
      return std::find(queue->items.begin(), queue->items.end(), item) != queue->items.end();
    });
    if (home == queues_.end()) misuse("waits for something that was never submitted");
    run_front(**home);
  }
}

void Device::finish_all() {
  while (step()) {
  }
}

/// One piece of some queue that is ready to go on.
bool Device::step() {
  std::erase_if(queues_, [](const auto& queue) { return queue->items.empty(); });
  std::vector<Queue*> ready;
  for (const auto& queue : queues_) {
    const auto& after = queue->items.front()->after;
    if (std::all_of(after.begin(), after.end(), [](const Ref& one) { return one->done; })) {
      ready.push_back(queue.get());
    }
  }
  if (ready.empty()) return false;
  run_front(*ready[random_() % ready.size()]);
  return true;
}

void Device::tick() {
  if (busy_) return;
  while (chance(speed_) && step()) {
  }
}

void misuse(const char* what) {
  std::printf("misuse: %s\n", what);
  std::fflush(stdout);
  std::_Exit(3);
}

void mix(const std::vector<std::pair<void*, std::size_t>>& buffers, std::uint64_t salt) {
  std::uint64_t hash = salt * 0x9E3779B97F4A7C15ULL + 1;
  for (const auto& [memory, bytes] : buffers) {
    for (std::size_t at = 0; at + 4 <= bytes; at += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, static_cast<char*>(memory) + at, 4);
      hash = (hash ^ word) * 0x100000001B3ULL;
      hash ^= hash >> 29;
    }
  }
  for (const auto& [memory, bytes] : buffers) {
    for (std::size_t at = 0; at + 4 <= bytes; at += 4) {
      hash = hash * 6364136223846793005ULL + 1442695040888963407ULL;
      const float value = static_cast<float>(hash >> 48) / 65536.0F;
      std::memcpy(static_cast<char*>(memory) + at, &value, 4);
    }
  }
}

}  // namespace fake

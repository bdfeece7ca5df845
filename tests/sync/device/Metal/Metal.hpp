// metal-cpp on the fake device: as much of it as the programs beside use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../fake.h"

#define MTLSTR(text) NS::String::string(text, NS::UTF8StringEncoding)

namespace NS {

using UInteger = unsigned long;
using Integer = long;
enum StringEncoding : UInteger { ASCIIStringEncoding = 1, UTF8StringEncoding = 4 };

struct Range {
  UInteger location, length;
  Range(UInteger a, UInteger b) : location(a), length(b) {}
  static Range Make(UInteger a, UInteger b) { return {a, b}; }
};

class Object {
 public:
  virtual ~Object() = default;
  Object* retain() {
    ++count_;
    return this;
  }
  /// What is released for good stays readable, as freed memory does, but holds other values.
  void release() {
    if (--count_ == 0) die();
  }
  Object* autorelease() { return this; }

 protected:
  virtual void die() {}
  int count_ = 1;
};

class String : public Object {
 public:
  static String* string(const char* text, StringEncoding) {
    auto* made = new String;
    made->text_ = text;
    return made;
  }
  const char* utf8String() const { return text_.c_str(); }

 private:
  std::string text_;
};

class Error : public Object {
 public:
  String* localizedDescription() const { return String::string("no error", UTF8StringEncoding); }
};

class AutoreleasePool : public Object {
 public:
  static AutoreleasePool* alloc() { return new AutoreleasePool; }
  AutoreleasePool* init() { return this; }
  void drain() {}
};

template <class T>
class SharedPtr {
 public:
  SharedPtr() = default;
  SharedPtr(std::nullptr_t) {}
  explicit SharedPtr(T* held) : held_(held) {}
  SharedPtr(const SharedPtr& other) : held_(other.held_) {
    if (held_ != nullptr) held_->retain();
  }
  SharedPtr(SharedPtr&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  SharedPtr& operator=(SharedPtr other) {
    std::swap(held_, other.held_);
    return *this;
  }
  ~SharedPtr() { reset(); }
  T* get() const { return held_; }
  T* operator->() const { return held_; }
  T& operator*() const { return *held_; }
  explicit operator bool() const { return held_ != nullptr; }
  void reset() {
    if (held_ != nullptr) held_->release();
    held_ = nullptr;
  }

 private:
  T* held_ = nullptr;
};

template <class T>
SharedPtr<T> TransferPtr(T* held) {
  return SharedPtr<T>(held);
}
template <class T>
SharedPtr<T> RetainPtr(T* held) {
  held->retain();
  return SharedPtr<T>(held);
}

}  // namespace NS

namespace MTL {

using ResourceOptions = unsigned long;
enum : unsigned long { ResourceStorageModeShared = 0, ResourceStorageModePrivate = 32 };
enum CommandBufferStatus : unsigned long {
  CommandBufferStatusNotEnqueued,
  CommandBufferStatusEnqueued,
  CommandBufferStatusCommitted,
  CommandBufferStatusScheduled,
  CommandBufferStatusCompleted,
  CommandBufferStatusError
};

struct Size {
  unsigned long width, height, depth;
  Size(unsigned long w, unsigned long h, unsigned long d) : width(w), height(h), depth(d) {}
  static Size Make(unsigned long w, unsigned long h, unsigned long d) { return {w, h, d}; }
};

class Device;
class CommandBuffer;

class Buffer : public NS::Object {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes, 0) {}
  void* contents() {
    fake::Device::get().tick();
    return bytes_.data();
  }
  NS::UInteger length() const { return bytes_.size(); }
  std::pair<void*, std::size_t> range(std::size_t offset = 0) {
    return {bytes_.data() + offset, bytes_.size() - offset};
  }

 protected:
  void die() override { std::memset(bytes_.data(), 0x5A, bytes_.size()); }

 private:
  std::vector<char> bytes_;
};

class ComputePipelineState : public NS::Object {
 public:
  explicit ComputePipelineState(unsigned name = 0) : name_(name) {}
  NS::UInteger maxTotalThreadsPerThreadgroup() const { return 256; }
  unsigned name() const { return name_; }

 private:
  unsigned name_;
};

class Encoder : public NS::Object {
 public:
  explicit Encoder(CommandBuffer* command) : command_(command) {}
  void endEncoding();

 protected:
  void record(const std::vector<Buffer*>& used, std::function<void()> work);
  CommandBuffer* command_;
};

class ComputeCommandEncoder : public Encoder {
 public:
  using Encoder::Encoder;
  void setComputePipelineState(const ComputePipelineState* state) { salt_ = state->name(); }
  void setBuffer(Buffer* buffer, NS::UInteger offset, NS::UInteger at) {
    bound_[at] = {buffer, offset};
  }
  /// The bytes are copied at once, as the real one does.
  void setBytes(const void* bytes, NS::UInteger length, NS::UInteger at) {
    const auto* first = static_cast<const unsigned char*>(bytes);
    for (NS::UInteger i = 0; i < length; ++i) salt_ = salt_ * 31 + first[i] + at;
  }
  void dispatchThreads(Size grid, Size) {
    std::vector<Buffer*> used;
    auto bound = bound_;
    for (const auto& [at, one] : bound) used.push_back(one.first);
    record(used, [bound, salt = salt_ + grid.width] {
      std::vector<std::pair<void*, std::size_t>> ranges;
      for (const auto& [at, one] : bound) ranges.push_back(one.first->range(one.second));
      fake::mix(ranges, salt);
    });
  }
  void dispatchThreadgroups(Size grid, Size group) { dispatchThreads(grid, group); }

 private:
  std::map<NS::UInteger, std::pair<Buffer*, NS::UInteger>> bound_;
  std::uint64_t salt_ = 0;
};

class BlitCommandEncoder : public Encoder {
 public:
  using Encoder::Encoder;
  void copyFromBuffer(Buffer* from, NS::UInteger at, Buffer* to, NS::UInteger where,
                      NS::UInteger bytes) {
    record({from, to}, [=] {
      std::memmove(static_cast<char*>(to->range().first) + where,
                   static_cast<char*>(from->range().first) + at, bytes);
    });
  }
  void fillBuffer(Buffer* buffer, NS::Range range, uint8_t value) {
    record({buffer}, [=] {
      std::memset(static_cast<char*>(buffer->range().first) + range.location, value, range.length);
    });
  }
};

using HandlerFunction = std::function<void(CommandBuffer*)>;

class CommandBuffer : public NS::Object {
 public:
  CommandBuffer(std::shared_ptr<fake::Queue> queue, bool retains)
      : queue_(std::move(queue)), retains_(retains) {}
  ComputeCommandEncoder* computeCommandEncoder() {
    open();
    return new ComputeCommandEncoder(this);
  }
  BlitCommandEncoder* blitCommandEncoder() {
    open();
    return new BlitCommandEncoder(this);
  }
  void addCompletedHandler(const HandlerFunction& handler) {
    if (committed_) fake::misuse("a handler is added after the commit");
    handlers_.push_back(handler);
  }
  void enqueue() {}
  void commit() {
    if (committed_) fake::misuse("committed twice");
    if (encoding_) fake::misuse("committed while an encoder is open");
    committed_ = true;
    auto& device = fake::Device::get();
    for (auto& one : recorded_) device.submit(queue_, std::move(one));
    done_ = device.submit(queue_, [this] {
      status_ = CommandBufferStatusCompleted;
      for (Buffer* buffer : used_) buffer->release();
    });
    auto thread = std::make_shared<fake::Queue>();
    for (const auto& handler : handlers_) {
      handled_ = device.submit(thread, [this, handler] { handler(this); }, {done_});
    }
    device.tick();
  }
  void waitUntilCompleted() {
    if (!committed_) fake::misuse("waits for what is not committed");
    auto& device = fake::Device::get();
    device.tick();
    device.finish(done_);
    device.finish(handled_);
    device.tick();
  }
  CommandBufferStatus status() const {
    fake::Device::get().tick();
    return status_;
  }
  NS::Error* error() const { return nullptr; }
  double GPUStartTime() const { return 0; }
  double GPUEndTime() const { return 0; }
  bool completed() const { return status_ == CommandBufferStatusCompleted; }
  bool committed() const { return committed_; }

 private:
  friend class Encoder;
  void open() {
    if (committed_) fake::misuse("encodes into a committed command buffer");
    if (encoding_) fake::misuse("opens a second encoder");
    encoding_ = true;
  }
  std::shared_ptr<fake::Queue> queue_;
  bool retains_;
  bool committed_ = false;
  bool encoding_ = false;
  CommandBufferStatus status_ = CommandBufferStatusNotEnqueued;
  std::vector<std::function<void()>> recorded_;
  std::vector<Buffer*> used_;
  std::vector<HandlerFunction> handlers_;
  fake::Ref done_;
  fake::Ref handled_;
};

inline void Encoder::endEncoding() { command_->encoding_ = false; }

inline void Encoder::record(const std::vector<Buffer*>& used, std::function<void()> work) {
  fake::Device::get().tick();
  for (Buffer* buffer : used) {
    if (!command_->retains_) continue;
    buffer->retain();
    command_->used_.push_back(buffer);
  }
  command_->recorded_.push_back(std::move(work));
}

class CommandQueue : public NS::Object {
 public:
  /// Sixty-four uncompleted command buffers, then the caller waits.
  CommandBuffer* commandBuffer() { return make(true); }
  CommandBuffer* commandBufferWithUnretainedReferences() { return make(false); }

 private:
  CommandBuffer* make(bool retains) {
    constexpr std::size_t kMost = 64;
    auto& device = fake::Device::get();
    device.tick();
    std::erase_if(made_, [](CommandBuffer* one) { return one->completed(); });
    if (made_.size() >= kMost && made_.front()->committed()) made_.front()->waitUntilCompleted();
    made_.push_back(new CommandBuffer(queue_, retains));
    return made_.back();
  }
  std::shared_ptr<fake::Queue> queue_ = std::make_shared<fake::Queue>();
  std::vector<CommandBuffer*> made_;
};

class Device : public NS::Object {
 public:
  CommandQueue* newCommandQueue() { return new CommandQueue; }
  Buffer* newBuffer(NS::UInteger bytes, ResourceOptions) { return new Buffer(bytes); }
  Buffer* newBuffer(const void* from, NS::UInteger bytes, ResourceOptions) {
    auto* made = new Buffer(bytes);
    std::memcpy(made->range().first, from, bytes);
    return made;
  }
};

inline Device* CreateSystemDefaultDevice() { return new Device; }

}  // namespace MTL

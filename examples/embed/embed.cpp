// cajal inside another program: record work once, commit it three times, learn by handler when the
// device is done. Between the commits the host does not wait.
#include <cajal/command_queue.h>
#include <cajal/device.h>
#include <cajal/error.h>

#include <array>
#include <cstdio>
#include <span>

int main() try {
  constexpr std::size_t kCount = 4;
  const auto device = cajal::Device::open("cpu");
  cajal::CommandQueue queue(device);

  const cajal::Buffer values = device->allocate(kCount * sizeof(float), "values");
  const std::array<float, kCount> start = {1, 2, 3, 4};
  queue.write(std::as_bytes(std::span(start)), values, cajal::WaitReason::shutdown);

  const auto doubling = queue.command_buffer("doubling");
  doubling->encode("double", {{values, cajal::Access::read_write}},
                   [values](cajal::ExecutionContext&) {
                     for (std::size_t i = 0; i < kCount; ++i) values.device_data<float>()[i] *= 2;
                   });
  doubling->add_completed_handler([](const cajal::Completion& done) {
    std::printf("step %lld done\n", static_cast<long long>(done.step));
  });

  for (int step = 1; step <= 3; ++step) {
    queue.begin_step(step);
    queue.commit(doubling);
  }
  queue.wait_idle(cajal::WaitReason::shutdown);

  for (const float value : values.host_read<float>()) std::printf("%g ", value);
  std::printf("\n");
  return 0;
} catch (const cajal::Error& error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}

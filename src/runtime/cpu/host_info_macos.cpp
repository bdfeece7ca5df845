// sysctl and the Mach kernel's page counts.
#include <mach/mach.h>
#include <sys/sysctl.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>

#include "runtime/cpu/host_info.h"

namespace cajal {

std::string processor_name() {
  char name[256] = {};
  std::size_t size = sizeof name - 1;
  if (sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) != 0) {
    return "unknown processor";
  }
  return name;
}

HostMemory host_memory() {
  HostMemory memory;
  std::uint64_t total = 0;
  std::size_t size = sizeof total;
  if (sysctlbyname("hw.memsize", &total, &size, nullptr, 0) == 0) memory.total = total;
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  const auto status = host_statistics64(mach_host_self(), HOST_VM_INFO64,
                                        reinterpret_cast<host_info64_t>(&pages), &count);
  if (status == KERN_SUCCESS) {
    const std::uint64_t free = pages.free_count + pages.inactive_count + pages.purgeable_count;
    memory.available = std::min<std::size_t>(memory.total, free * vm_kernel_page_size);
  }
  return memory;
}

int usable_cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace cajal

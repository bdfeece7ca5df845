// The machine, and what of it this process may use. One file an operating system.
#pragma once

#include <cstddef>
#include <string>

namespace cajal {

struct HostMemory {
  std::size_t total = 0;
  std::size_t available = 0;
};

std::string processor_name();
HostMemory host_memory();
int usable_cores();

}  // namespace cajal

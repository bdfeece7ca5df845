// File systems that one child process has for itself.
#pragma once

#ifdef __linux__

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

namespace cajal::train {

/// What a child exits with where the system does not let it do this.
inline constexpr int kNotPermitted = 77;

/// What this process mounts from here on is seen by it alone, and gone with it.
inline void own_mounts() {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0) {
    ::_exit(kNotPermitted);
  }
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
}

inline void mount_small_file_system(const std::filesystem::path& path, const char* options) {
  own_mounts();
  if (::mount("tmpfs", path.c_str(), "tmpfs", 0, options) != 0) ::_exit(kNotPermitted);
}

}  // namespace cajal::train

#endif

#include "data/file_error.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "cajal/error.h"

namespace cajal::data {
namespace {

std::string_view remedy_for(std::string_view action, int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or use another disk";
    case EIO:
    case ENXIO:
    case ENODEV:
      return "the disk or its connection fails: look at the system's log, and use another disk";
    case ESTALE:
    case ENOTCONN:
    case EHOSTDOWN:
    case ETIMEDOUT:
      return "the network file system lost it: mount that again, or use a local disk";
    case EXDEV:
      return "keep the whole directory on one file system";
    case EBUSY:
    case ETXTBSY:
      return "another program uses it; end that, or use another place";
    case ELOOP:
      return "its links lead in a circle; name the place that is meant";
    case ENAMETOOLONG:
      return "use a shorter path";
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EEXIST:
      return "something else has that name; move it away";
    case EFBIG:
      return "raise the file size limit (ulimit -f) or use another file system";
    case EACCES:
    case EPERM:
    case EROFS:
      return action == "read" || action == "open" ? "use one that you may read"
                                                  : "use a place that you may write to";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case ENOENT:
      return "check the path";
    default:
      return "look at the system's log, or use another place";
  }
}

}  // namespace

void throw_file_error(std::string_view action, const std::filesystem::path& file, int error) {
  throw Error(fmt::format("cannot {} {}: {}", action, file.string(),
                          std::generic_category().message(error)),
              remedy_for(action, error));
}

}  // namespace cajal::data

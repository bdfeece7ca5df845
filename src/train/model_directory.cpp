#include "train/model_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "cajal/error.h"
#include "train/foreign_file.h"
#include "train/in_quotes.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

bool is_within(const fs::path& file, const fs::path& folder) {
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return end == folder.end() && rest != file.end();
}

/// .../models--ORG--NAME/blobs/HASH
bool is_blob_of_hugging_face(const fs::path& file) {
  const fs::path blobs = file.parent_path();
  return blobs.filename() == "blobs" &&
         blobs.parent_path().filename().string().starts_with("models--");
}

std::string read_up_to(const FileDescriptor& fd, std::size_t most, const fs::path& shown) {
  constexpr std::size_t kBlock = std::size_t{1} << 16;
  std::string text;
  while (text.size() < most) {
    const std::size_t filled = text.size();
    text.resize(std::min(filled + kBlock, most));
    const ssize_t count = ::read(fd.get(), text.data() + filled, text.size() - filled);
    const int error = count < 0 ? errno : 0;
    text.resize(filled + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) break;
    if (error != 0 && error != EINTR) throw_file_error("read", shown, error);
  }
  return text;
}

}  // namespace

ModelDirectory::ModelDirectory(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  real_ = fs::canonical(path_, error);
  if (error) {
    throw InvalidArgument(
        fmt::format("{} holds no model: {}", path_.string(), error.message()),
        "name the directory of a run, as given to cajal train --out, or of a GPT-2 model");
  }
  if (!fs::is_directory(real_, error)) {
    throw InvalidArgument(fmt::format("{} holds no model: it is no directory", path_.string()),
                          "name the directory that holds config.json and model.safetensors");
  }
}

bool ModelDirectory::contains(std::string_view name) const {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(file(name), error);
  return fs::exists(status);
}

FileDescriptor ModelDirectory::open(std::string_view name) const {
  const fs::path shown = file(name);
  std::error_code error;
  const fs::path real = fs::canonical(shown, error);
  if (error) throw_file_error("open", shown, error.value());
  if (!is_within(real, real_) && !is_blob_of_hugging_face(real)) {
    throw Error(
        fmt::format("{} is a link that leads out of its directory, to {}", shown.string(),
                    in_quotes(real.string())),
        "copy the file there if you trust the link, or name the directory that it leads to");
  }
  // Looked at before it is opened, for opening a device can do something; and after, for it may
  // have been replaced.
  const auto require_regular = [&](bool regular) {
    if (!regular) {
      throw Error(fmt::format("{} is no file", shown.string()), "put the model's own file there");
    }
  };
  require_regular(fs::is_regular_file(real, error));
  FileDescriptor fd = open_file(real, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, "read");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_file_error("read", shown, errno);
  require_regular(S_ISREG(status.st_mode));
  return fd;
}

std::string ModelDirectory::read_text(std::string_view name, std::size_t most) const {
  std::string text = read_up_to(open(name), most + 1, file(name));
  if (text.size() > most) {
    throw Error(fmt::format("{} has more than {} bytes", file(name).string(), most),
                "that is no such file: download or copy it again");
  }
  refuse_foreign(std::as_bytes(std::span(text)).first(std::min(text.size(), kForeignHead)),
                 file(name).string());
  return text;
}

void ModelDirectory::require_genuine(std::string_view name) const {
  const std::string head = read_up_to(open(name), kForeignHead, file(name));
  refuse_foreign(std::as_bytes(std::span(head)), file(name).string());
}

void ModelDirectory::require_plain_name(std::string_view name, std::string_view source) {
  const bool plain =
      !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
      name.find('\\') == std::string_view::npos && name.find('\0') == std::string_view::npos;
  if (plain) return;
  throw Error(fmt::format("{} names the file {}, which is not in its own directory", source,
                          in_quotes(name)),
              "do not use this model: download it anew from a source that you trust");
}

}  // namespace cajal::train

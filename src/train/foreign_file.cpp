#include "train/foreign_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "cajal/error.h"

namespace cajal::train {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kDownload =
    "download the file itself: on its web page that is the link named raw or download";
constexpr std::string_view kConvert =
    "open it with the program that wrote it and save it as safetensors";
constexpr std::string_view kPickle =
    "cajal never unpickles, for that can run anything: load it with transformers from a source "
    "that "
    "you trust, and save_pretrained() it again";

struct Form {
  std::string_view begins;
  std::string_view name;
  std::string_view remedy;
};

constexpr std::array kForms{
    Form{"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself",
         "run 'git lfs install' and 'git lfs pull' in its folder, or download the file"},
    Form{"version https://hawser.github.com/spec/", "a Git LFS pointer, not the file itself",
         "run 'git lfs install' and 'git lfs pull' in its folder, or download the file"},
    Form{"/annex/objects/", "a git-annex pointer, not the file itself",
         "run 'git annex get' in its folder"},
    Form{"PK\3\4"sv, "a zip archive, as PyTorch's pytorch_model.bin is", kPickle},
    Form{"\x80\2"sv, "a Python pickle, as PyTorch once wrote", kPickle},
    Form{"\x80\3"sv, "a Python pickle", kPickle},
    Form{"\x80\4"sv, "a Python pickle", kPickle},
    Form{"\x80\5"sv, "a Python pickle", kPickle},
    Form{"GGUF", "a GGUF file, as llama.cpp's are", kConvert},
    Form{"\x89HDF\r\n\x1a\n", "an HDF5 file, as TensorFlow's are", kConvert},
    Form{"\x93NUMPY", "a NumPy array", kConvert},
    Form{"\x1f\x8b"sv, "compressed with gzip", "unpack it with gunzip"},
    Form{"\x28\xb5\x2f\xfd"sv, "compressed with zstd", "unpack it with unzstd"},
    Form{"\xfd"
         "7zXZ",
         "compressed with xz", "unpack it with unxz"},
    Form{"BZh", "compressed with bzip2", "unpack it with bunzip2"},
};

std::string_view without_space(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const auto first = std::ranges::find_if_not(
      text, [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
  return text.substr(static_cast<std::size_t>(first - text.begin()));
}

bool begins_with_tag(std::string_view text, std::string_view tag) {
  return text.size() >= tag.size() &&
         std::ranges::equal(text.substr(0, tag.size()), tag, [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         });
}

/// What a server sends in place of a file: a page to log in at, an error, a list of mirrors.
bool is_page(std::string_view text) {
  const std::string_view start = without_space(text);
  return std::ranges::any_of(
      std::array{"<!doctype"sv, "<html"sv, "<head"sv, "<?xml"sv, "<error"sv, "<!--"sv},
      [&](std::string_view tag) { return begins_with_tag(start, tag); });
}

}  // namespace

void refuse_foreign(std::span<const std::byte> head, const std::string& source) {
  const auto refuse = [&](std::string_view what, std::string_view remedy) {
    throw Error(fmt::format("{} is {}", source, what), remedy);
  };
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  if (text.empty()) refuse("empty", "download or copy it again");
  for (const Form& form : kForms) {
    if (text.starts_with(form.begins)) refuse(form.name, form.remedy);
  }
  if (is_page(text)) refuse("a web page, not the file itself", kDownload);
  if (std::ranges::all_of(text, [](char c) { return c == '\0'; })) {
    refuse("nothing but zeros where it begins, as an interrupted download leaves it",
           "download or copy it again");
  }
}

}  // namespace cajal::train

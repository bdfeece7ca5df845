#include "sync/frontend/hash.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

namespace cajal::sync::frontend {

std::string sha256(std::string_view text) {
  llvm::SHA256 hash;
  hash.update(llvm::StringRef(text.data(), text.size()));
  const auto digest = hash.final();
  return llvm::toHex(llvm::StringRef(reinterpret_cast<const char*>(&digest[0]), 32), true);
}

}  // namespace cajal::sync::frontend

// An error's message is one line, whatever it quotes.
#include "cajal/error.h"

#include <gtest/gtest.h>

#include <string>

namespace cajal {
namespace {

TEST(Error, JoinsProblemAndRemedy) {
  EXPECT_STREQ(Error("the disk is full", "free some space").what(),
               "the disk is full; free some space");
  EXPECT_STREQ(Error("the disk is full").what(), "the disk is full");
}

TEST(Error, WritesControlCharactersOut) {
  EXPECT_STREQ(Error("model_type \"a\nb\" is unknown", "use\r\n another").what(),
               "model_type \"a\\nb\" is unknown; use\\x0d\\n another");
  EXPECT_STREQ(InvalidArgument("a file named \x1b[31mred\x7f").what(),
               "a file named \\x1b[31mred\\x7f");
  EXPECT_STREQ(Error(std::string_view("nul \0 in it", 11)).what(), "nul \\x00 in it");
}

TEST(Error, LeavesCharactersBeyondAsciiAlone) {
  EXPECT_STREQ(Error("caf\xc3\xa9 \xe7\x8c\xab").what(), "caf\xc3\xa9 \xe7\x8c\xab");
}

}  // namespace
}  // namespace cajal

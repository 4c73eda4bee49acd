#include "common/nearest.h"

#include <array>

#include <catch2/catch.hpp>

namespace pitr {

namespace {

constexpr std::array<std::string_view, 4> kKnown = {"--config", "--cluster", "--log-level",
                                                    "--help"};

}  // namespace

TEST_CASE("a slip of the pen gets the name that was meant", "[common]") {
  CHECK(suggest_nearest("--confg", kKnown) == "Perhaps you meant \"--config\".");
  CHECK(suggest_nearest("--cofnig", kKnown) == "Perhaps you meant \"--config\".");
  CHECK(suggest_nearest("-help", kKnown) == "Perhaps you meant \"--help\".");
  CHECK(suggest_nearest("--loglevel", kKnown) == "Perhaps you meant \"--log-level\".");
}

TEST_CASE("of several near names the nearest is suggested", "[common]") {
  const std::array<std::string_view, 3> known = {"backups", "backup", "back"};
  CHECK(suggest_nearest("bakcup", known) == "Perhaps you meant \"backup\".");
}

TEST_CASE("what is near to nothing gets no suggestion", "[common]") {
  CHECK(suggest_nearest("--quite-something-else", kKnown).empty());
  CHECK(suggest_nearest("--confg", {}).empty());
}

TEST_CASE("an enormous or strange text is answered, not choked on", "[common]") {
  CHECK(suggest_nearest(std::string(100'000, 'x'), kKnown).empty());
  CHECK(suggest_nearest(std::string(64, '\0'), kKnown).empty());
  CHECK(suggest_nearest("\xFF\xFE--------------", kKnown).empty());
}

}  // namespace pitr

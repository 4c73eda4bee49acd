#include "common/bytes.h"

#include <limits>

#include <catch2/catch.hpp>

namespace pitr {

TEST_CASE("numbers are written little-endian", "[common]") {
  ByteWriter writer;
  writer.put(std::uint16_t{0x1234});
  writer.put(std::uint32_t{0xDEADBEEF});
  writer.put(std::int64_t{-2});
  CHECK(as_text(writer.bytes()) ==
        std::string_view("\x34\x12\xEF\xBE\xAD\xDE\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 14));
}

TEST_CASE("a text is its length in 32 bits, then its bytes", "[common]") {
  ByteWriter writer;
  writer.put_text(std::string_view("a\0b", 3));
  writer.put_text("");
  CHECK(as_text(writer.bytes()) == std::string_view("\x03\0\0\0a\0b\0\0\0\0", 11));
}

TEST_CASE("what was written is read back", "[common]") {
  ByteWriter writer;
  writer.put(std::numeric_limits<std::int64_t>::min());
  writer.put_text("name");
  writer.put(std::uint8_t{7});
  const auto bytes = writer.take();
  ByteReader reader(bytes);
  CHECK(reader.get<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
  CHECK(reader.get_text() == "name");
  CHECK(reader.get<std::uint8_t>() == 7);
  CHECK(reader.ok());
  CHECK(reader.remaining() == 0);
}

TEST_CASE("after the first value that does not fit, every further one is zero or empty",
          "[common]") {
  const std::string_view bytes("\xFF\xFF\xFF", 3);
  ByteReader reader(as_byte_span(bytes));
  CHECK(reader.get<std::uint32_t>() == 0);
  CHECK_FALSE(reader.ok());
  CHECK(reader.get<std::uint8_t>() == 0);  // although there are bytes for it
  CHECK(reader.get_bytes(1).empty());
  CHECK(reader.get_text().empty());
  CHECK_FALSE(reader.ok());
}

TEST_CASE("a length that is not there takes no memory and reads nothing", "[common]") {
  const std::string_view enormous("\xFF\xFF\xFF\xFFtext", 8);
  ByteReader reader(as_byte_span(enormous));
  CHECK(reader.get_text().empty());
  CHECK_FALSE(reader.ok());
  ByteReader other(as_byte_span(enormous));
  CHECK(other.get_bytes(std::numeric_limits<std::size_t>::max()).empty());
  CHECK_FALSE(other.ok());
}

TEST_CASE("of no bytes nothing can be read but nothing", "[common]") {
  ByteReader reader(ByteSpan{});
  CHECK(reader.get_bytes(0).empty());
  CHECK(reader.ok());
  CHECK(reader.get<std::uint8_t>() == 0);
  CHECK_FALSE(reader.ok());
}

}  // namespace pitr

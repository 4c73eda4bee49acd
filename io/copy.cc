#include "io/copy.h"

#include <algorithm>
#include <deque>
#include <memory>

#include "common/error.h"

namespace pitr {

namespace {

// Reads in flight, in order. Destroying it waits for them: the kernel owns their buffers.
class ReadsAhead {
 public:
  ReadsAhead(Ring& ring, const File& source, const File* direct)
      : ring_(ring), source_(source), direct_(direct) {}
  ReadsAhead(const ReadsAhead&) = delete;
  ReadsAhead& operator=(const ReadsAhead&) = delete;
  ReadsAhead(ReadsAhead&&) = delete;
  ReadsAhead& operator=(ReadsAhead&&) = delete;
  ~ReadsAhead() {
    for (const auto& read : reads_)
      ring_.wait(read->operation);
  }

  std::size_t count() const { return reads_.size(); }

  void start(std::uint64_t offset, std::size_t length, Buffer buffer) {
    auto read = std::make_unique<Read>();
    read->buffer = std::move(buffer);
    read->operation = {.kind = RingOperation::Kind::kRead,
                       .descriptor = (direct_ != nullptr ? *direct_ : source_).descriptor(),
                       .data = read->buffer.data(),
                       .length = length,
                       .offset = offset};
    ring_.start(read->operation);
    reads_.push_back(std::move(read));
  }

  // The oldest read's buffer, its size set to what was read.
  Buffer take() {
    RingOperation& operation = reads_.front()->operation;
    ring_.wait(operation);
    if (operation.error != 0) read_otherwise(operation);
    const std::unique_ptr<Read> read = std::move(reads_.front());
    reads_.pop_front();
    read->buffer.set_size(read->operation.transferred);
    return std::move(read->buffer);
  }

 private:
  struct Read {
    Buffer buffer;
    RingOperation operation;
  };

  // Direct reads end and begin at whole sectors only, which a file's end need not do.
  void read_otherwise(RingOperation& operation) const {
    if (direct_ == nullptr) throw_file_error("read file", source_.path(), operation.error);
    operation.transferred =
        source_.read_at(operation.offset, std::span(operation.data, operation.length));
  }

  Ring& ring_;
  const File& source_;
  const File* direct_;
  std::deque<std::unique_ptr<Read>> reads_;
};

}  // namespace

std::uint64_t copy(const File& source, std::uint64_t offset, std::uint64_t length, Ring& ring,
                   ArchiveWriter& writer, const BlockObserver& observer, const File* direct) {
  std::uint64_t done = 0;
  std::uint64_t started = 0;
  bool ended = false;
  ReadsAhead reads(ring, source, direct);
  while (done < length && !ended) {
    while (started < length && reads.count() < ArchiveWriter::kMostRawBuffersHeld) {
      Buffer buffer = writer.take_block();
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer.capacity(), length - started));
      reads.start(offset + started, count, std::move(buffer));
      started += count;
    }
    Buffer block = reads.take();
    const std::uint64_t expected = std::min<std::uint64_t>(block.capacity(), length - done);
    ended = block.size() < expected;
    if (block.size() == 0) break;
    done += block.size();
    if (observer) observer(block.space().first(block.size()));
    writer.put_block(std::move(block));
  }
  return done;
}

}  // namespace pitr

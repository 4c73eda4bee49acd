#include "io/read_ahead.h"

#include <algorithm>
#include <utility>

#include "common/error.h"

namespace pitr {

ReadAhead::ReadAhead(const ReadAheadPlan& plan, Ring& ring, std::function<Buffer()> take_buffer)
    : plan_(plan), ring_(ring), take_buffer_(std::move(take_buffer)) {}

ReadAhead::~ReadAhead() {
  for (const auto& read : reads_)
    ring_.wait(read->operation);
}

Buffer ReadAhead::next() {
  while (started_ < plan_.length && reads_.size() < plan_.reads)
    start();
  if (reads_.empty()) return {};
  RingOperation& operation = reads_.front()->operation;
  ring_.wait(operation);
  if (operation.error != 0) read_otherwise(operation);
  const std::unique_ptr<Read> read = std::move(reads_.front());
  reads_.pop_front();
  read->buffer.set_size(operation.transferred);
  return std::move(read->buffer);
}

void ReadAhead::start() {
  auto read = std::make_unique<Read>();
  read->buffer = take_buffer_();
  const std::uint64_t left = plan_.length - started_;
  const File& file = plan_.direct != nullptr ? *plan_.direct : plan_.source;
  read->operation = {.kind = RingOperation::Kind::kRead,
                     .descriptor = file.descriptor(),
                     .data = read->buffer.data(),
                     .length = std::min<std::uint64_t>(read->buffer.capacity(), left),
                     .offset = plan_.offset + started_};
  started_ += read->operation.length;
  ring_.start(read->operation);
  reads_.push_back(std::move(read));
}

// Direct reads begin and end at whole sectors only, which a file's end need not do.
void ReadAhead::read_otherwise(RingOperation& operation) const {
  if (plan_.direct == nullptr) throw_file_error("read file", plan_.source.path(), operation.error);
  operation.transferred =
      plan_.source.read_at(operation.offset, std::span(operation.data, operation.length));
}

}  // namespace pitr

// The state as it is at one moment, for a background thread that reads it piece by piece while training goes on.
//
// Between two updates nothing writes the state, so begin() copies nothing: the reader takes piece after piece from the
// live memory. What it has not come to when the next update is due is copied aside first, and read from there; each
// piece goes as soon as it was read. So no byte is copied twice, memory is needed only for what was not read in time,
// and the training thread waits for copies in memory, never for what the reader does with the pieces, such as writing
// them to a disk. A thread that runs copy_ahead() copies shortly before the update, from the end that the reader has
// not come to, so that before_update() finds little left to do.
//
//   training   begin()   forward, backward              before_update()   update …
//   reader         next() next() next() …                                 next() next() … end()
//   ahead                                   copy_ahead()
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

namespace convoy::worker {

class StateCopy {
 public:
  using Bytes = std::span<const std::byte>;
  static constexpr std::size_t kPieceBytes = std::size_t{2} << 20;
  static constexpr std::size_t kUnlimited = ~std::size_t{0};

  // Of these parts of memory, one after the other, which outlive the copy. `piece_bytes`: a multiple of the page size.
  explicit StateCopy(std::vector<Bytes> parts, std::size_t piece_bytes = kPieceBytes);
  ~StateCopy();
  StateCopy(const StateCopy&) = delete;
  StateCopy& operator=(const StateCopy&) = delete;

  // The training thread's part. Of these parts from the next begin() on, which outlive that. The reading before must
  // have come to its end().
  void use(std::vector<Bytes> parts);
  // The reading before must have come to its end().
  // At most about `most_aside` bytes are ever aside: beyond that before_update() waits for the reader after all.
  // Throws Error(kUnavailable) where the system has no room for so much memory to be reserved.
  void begin(std::size_t most_aside = kUnlimited);
  // Whoever writes the state calls it first, each time, whether or not anybody reads.
  void before_update();

  // The reader's part, of one thread. The next piece: valid until the next call. Nothing after the last one, and after
  // cancel().
  std::optional<Bytes> next();
  // Nothing is read any more: memory is let go, and there may be another begin().
  void end();

  // When it returns nobody reads the live memory any more, nor waits for the reader. From any thread.
  void cancel();

  // Copies ahead of updates until asked to stop. At most one thread runs it.
  void copy_ahead(const std::stop_token& stop);

  // What was copied aside since begin(), and by whom; what the reader took in time is not among it.
  struct Statistics {
    std::size_t ahead = 0;                     // bytes, by copy_ahead()
    std::size_t at_update = 0;                 // bytes, by before_update()
    std::chrono::nanoseconds update_waited{};  // in before_update()
  };
  Statistics statistics() const;

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;
  enum class Place : std::uint8_t {
    kLive,     // only in the live memory
    kCopying,  // on its way out of it
    kAside,
    kGone  // the reader has it, or had it
  };

  std::byte* aside(std::size_t piece) const { return memory_ + piece * piece_bytes_; }
  std::size_t bytes_of(std::size_t piece) const;
  void reserve();
  void unmap() noexcept;
  void copy(std::size_t piece, std::byte* to) const;
  void copy_aside(Lock& lock, std::size_t piece);
  void let_go(std::size_t piece) const noexcept;
  bool is_full() const { return (pieces_aside_ + 1) * piece_bytes_ > most_aside_ && pieces_aside_ > 0; }
  std::optional<std::size_t> first_live();
  std::optional<std::size_t> last_live();
  Clock::time_point time_to_copy() const;
  void note_update(Clock::time_point now);

  std::vector<Bytes> parts_;
  const std::size_t piece_bytes_;
  std::vector<std::size_t> part_ends_;  // in the bytes of all parts
  std::size_t bytes_ = 0;               // of all parts
  std::size_t pieces_ = 0;
  std::vector<std::byte> in_hand_;  // of the reader: a piece that it took from the live memory
  std::byte* memory_ = nullptr;     // a place for each piece, which takes room once it is written
  std::size_t memory_bytes_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Place> places_;
  bool reading_ = false;  // between begin() and end()
  bool cancelled_ = false;
  std::size_t read_ = 0;                 // pieces that the reader has taken
  std::optional<std::size_t> borrowed_;  // of them, one that lies aside
  std::size_t first_ = 0, last_ = 0;     // live pieces lie in [first_, last_)
  std::size_t live_ = 0;                 // pieces
  std::size_t copying_ = 0;              // pieces
  std::size_t pieces_aside_ = 0;         // and on their way there
  std::size_t most_aside_ = kUnlimited;  // bytes
  Statistics statistics_;

  // When the next update is to be expected, and how long copies take.
  std::optional<Clock::time_point> last_update_;
  std::optional<Clock::duration> interval_, interval_before_;  // between updates
  double seconds_per_byte_ = 1e-9;
};

}  // namespace convoy::worker

// What ThreadSanitizer cannot see: libgomp, which is not instrumented, orders a parallel loop's pieces after what came
// before the loop, and what comes after the loop after them. Told so, it needs no suppressions and still sees two
// pieces that touch the same bytes. In every other build this is nothing.
#pragma once

#if defined(__SANITIZE_THREAD__)

#include <sanitizer/tsan_interface.h>

// For the function with the loop: its threads read what they are to do before they can say that they have begun.
#define CONVOY_UNSEEN_BY_TSAN __attribute__((no_sanitize("thread")))

namespace convoy {

class TeamOrder {
 public:
  TeamOrder() { __tsan_release(&before_); }
  void begin_piece() { __tsan_acquire(&before_); }
  void end_piece() { __tsan_release(&after_); }
  void end() { __tsan_acquire(&after_); }

 private:
  // Two, or a piece that ends early would seem to come before one that begins late.
  char before_ = 0;
  char after_ = 0;
};

}  // namespace convoy

#else

#define CONVOY_UNSEEN_BY_TSAN

namespace convoy {

struct TeamOrder {
  void begin_piece() {}
  void end_piece() {}
  void end() {}
};

}  // namespace convoy

#endif

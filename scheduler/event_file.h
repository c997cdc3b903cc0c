// A file that TensorBoard opens, appended to while TensorBoard watches it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cluster/messages.h"

namespace convoy::scheduler {

struct Scalar {
  std::string tag;  // "train/loss"
  double value = 0.0;
};

// Events are kept until flush(), which appends them by one write(2): being killed loses them, but tears none.
// `time`: seconds since the epoch. Every function throws Error(kUnavailable) that names the file it cannot write.
class EventFile {
 public:
  // Makes `folder`, and in it a new file that TensorBoard reads after those that are there.
  EventFile(const std::string& folder, double time);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  const std::string& path() const { return path_; }

  // What earlier files say of `step` and later ones no longer counts.
  void supersede_from(std::int64_t step, double time);
  void scalars(std::int64_t step, double time, std::span<const Scalar> scalars);
  void histogram(double time, const cluster::HistogramReport& report);
  // Markdown; what is no UTF-8 in it is replaced.
  void text(double time, const cluster::TextReport& report);
  void graph(double time, const cluster::GraphReport& report);

  std::size_t pending_bytes() const { return pending_.size(); }
  void flush();
  // What is kept is never written.
  void discard() { pending_.clear(); }

 private:
  std::string path_;
  int descriptor_ = -1;
  std::string pending_;  // whole records
};

}  // namespace convoy::scheduler

#include "scheduler/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/utf8.h"
#include "scheduler/event.pb.h"
#include "scheduler/tfrecord.h"

namespace convoy::scheduler {
namespace {

namespace fs = std::filesystem;
using tensorboard::Event;

constexpr std::string_view kPrefix = "events.out.tfevents.";

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  std::string host = name;
  std::replace(host.begin(), host.end(), '/', '-');
  return host.empty() ? "localhost" : host;
}

// The seconds in a file's name; TensorBoard reads a folder's files in the order of their names.
std::int64_t seconds_of(const std::string& name) {
  std::int64_t seconds = 0;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

std::int64_t newest_in(const std::string& folder) {
  std::int64_t newest = 0;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    newest = std::max(newest, seconds_of(entry.path().filename().string()));
  return newest;
}

Event event_of(std::int64_t step, double time) {
  Event event;
  event.set_wall_time(time);
  event.set_step(step);
  return event;
}

tensorboard::DataType data_type_of(std::string_view dtype) {
  if (dtype == "f32") return tensorboard::DT_FLOAT;
  if (dtype == "f64") return tensorboard::DT_DOUBLE;
  if (dtype == "bf16") return tensorboard::DT_BFLOAT16;
  if (dtype == "i32") return tensorboard::DT_INT32;
  return tensorboard::DT_INVALID;
}

std::string record_of(const Event& event) { return tfrecord(event.SerializeAsString()); }

}  // namespace

EventFile::EventFile(const std::string& folder, double time) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorCode::kUnavailable, "{}: cannot make the folder: {}", folder, error.message());
  const std::int64_t seconds = std::max(static_cast<std::int64_t>(time), newest_in(folder) + 1);
  path_ = fmt::format("{}/{}{:010d}.{}", folder, kPrefix, seconds, host_name());
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "cannot open {}: {}", path_, errno_text(errno));
  Event version = event_of(0, time);
  version.set_file_version("brain.Event:2");
  pending_ = record_of(version);
}

EventFile::~EventFile() {
  try {
    flush();
  } catch (const Error&) {  // whoever wanted to know has flushed
  }
  ::close(descriptor_);
}

void EventFile::supersede_from(std::int64_t step, double time) {
  Event event = event_of(step, time);
  event.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  pending_ += record_of(event);
}

void EventFile::scalars(std::int64_t step, double time, std::span<const Scalar> scalars) {
  Event event = event_of(step, time);
  for (const Scalar& scalar : scalars) {
    tensorboard::Summary::Value& value = *event.mutable_summary()->add_value();
    value.set_tag(scalar.tag);
    value.set_simple_value(static_cast<float>(scalar.value));
  }
  pending_ += record_of(event);
}

void EventFile::histogram(double time, const cluster::HistogramReport& report) {
  Event event = event_of(report.step, time);
  tensorboard::Summary::Value& value = *event.mutable_summary()->add_value();
  value.set_tag(report.tag);
  tensorboard::HistogramProto& histogram = *value.mutable_histo();
  histogram.set_min(report.min);
  histogram.set_max(report.max);
  histogram.set_num(report.count);
  histogram.set_sum(report.sum);
  histogram.set_sum_squares(report.sum_squares);
  histogram.mutable_bucket_limit()->Add(report.limits.begin(), report.limits.end());
  histogram.mutable_bucket()->Add(report.counts.begin(), report.counts.end());
  pending_ += record_of(event);
}

void EventFile::text(double time, const cluster::TextReport& report) {
  Event event = event_of(report.step, time);
  tensorboard::Summary::Value& value = *event.mutable_summary()->add_value();
  value.set_tag(report.tag);
  value.mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
  value.mutable_metadata()->set_data_class(tensorboard::DATA_CLASS_TENSOR);
  value.mutable_tensor()->set_dtype(tensorboard::DT_STRING);
  value.mutable_tensor()->mutable_tensor_shape();
  value.mutable_tensor()->add_string_val(printable_utf8(report.text));
  pending_ += record_of(event);
}

void EventFile::graph(double time, const cluster::GraphReport& report) {
  tensorboard::GraphDef graph;
  graph.mutable_versions()->set_producer(22);  // the oldest that TensorBoard's graph view does not warn of
  for (const cluster::GraphReport::Node& from : report.nodes) {
    tensorboard::NodeDef& node = *graph.add_node();
    node.set_name(printable_utf8(from.name));
    node.set_op(printable_utf8(from.op));
    for (const std::string& input : from.inputs) node.add_input(printable_utf8(input));
    auto& attributes = *node.mutable_attr();
    if (!from.attributes.empty()) attributes["attributes"].set_s(from.attributes);
    if (from.outputs.empty()) continue;
    attributes["dtype"].set_type(data_type_of(from.outputs[0].dtype));
    auto& shapes = *attributes["_output_shapes"].mutable_list();
    for (const cluster::GraphReport::Output& output : from.outputs) {
      tensorboard::TensorShapeProto& shape = *shapes.add_shape();
      for (const std::int64_t extent : output.shape) shape.add_dim()->set_size(extent);
    }
  }
  Event event = event_of(0, time);
  event.set_graph_def(graph.SerializeAsString());
  pending_ += record_of(event);
}

void EventFile::flush() {
  std::string_view left = pending_;
  while (!left.empty()) {
    const ssize_t written = ::write(descriptor_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      pending_.clear();  // what follows a torn record cannot be read
      fail(ErrorCode::kUnavailable, "cannot write {}: {}", path_, errno_text(error));
    }
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  pending_.clear();
}

}  // namespace convoy::scheduler

#include "core/io/onnx/file.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <bit>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/io/onnx/builder.h"

#ifndef CONVOY_VERSION
#error "CONVOY_VERSION is set by CMake"
#endif

namespace convoy {
namespace {

static_assert(std::endian::native == std::endian::little, "ONNX's raw data is little-endian");

// Numbers of the fields that are written here rather than by protobuf, all of them bytes behind their length.
constexpr int kGraphOfModel = ::onnx::ModelProto::kGraphFieldNumber;
constexpr int kWeightOfGraph = ::onnx::GraphProto::kInitializerFieldNumber;
constexpr int kDataOfTensor = ::onnx::TensorProto::kRawDataFieldNumber;

constexpr std::int64_t kPage = 4096;          // where external data starts, so that it can be mapped
constexpr std::size_t kLeastExternal = 1024;  // bytes; runtimes read small constants before they look for others

// What stands before a field of `length` bytes.
std::string field_head(int number, std::size_t length) {
  std::string head(1, static_cast<char>(number << 3 | 2));
  for (; length >= 0x80; length >>= 7) head += static_cast<char>((length & 0x7F) | 0x80);
  return head + static_cast<char>(length);
}

struct SetAttribute {
  ::onnx::AttributeProto& to;

  void operator()(std::int64_t value) const {
    to.set_type(::onnx::AttributeProto::INT);
    to.set_i(value);
  }
  void operator()(double value) const {
    to.set_type(::onnx::AttributeProto::FLOAT);
    to.set_f(static_cast<float>(value));
  }
  void operator()(const std::string& value) const {
    to.set_type(::onnx::AttributeProto::STRING);
    to.set_s(value);
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    to.set_type(::onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) to.add_ints(value);
  }
};

void set_node(::onnx::NodeProto& to, const OnnxNode& node) {
  to.set_op_type(node.op);
  to.set_name(node.name);
  for (const std::string& input : node.inputs) to.add_input(input);
  for (const std::string& output : node.outputs) to.add_output(output);
  for (const OnnxAttribute& attribute : node.attributes) {
    ::onnx::AttributeProto& one = *to.add_attribute();
    one.set_name(attribute.name);
    std::visit(SetAttribute{one}, attribute.value);
  }
}

void set_port(::onnx::ValueInfoProto& to, const OnnxPort& port) {
  to.set_name(port.name);
  ::onnx::TypeProto::Tensor& tensor = *to.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(static_cast<std::int32_t>(port.type));
  tensor.mutable_shape();  // of rank 0 too
  for (const OnnxDimension& dimension : port.shape) {
    ::onnx::TensorShapeProto::Dimension& one = *tensor.mutable_shape()->add_dim();
    if (const auto* const extent = std::get_if<std::int64_t>(&dimension)) {
      one.set_dim_value(*extent);
    } else {
      one.set_dim_param(std::get<std::string>(dimension));
    }
  }
}

void set_entry(::onnx::StringStringEntryProto& to, const std::string& key, const std::string& value) {
  to.set_key(key);
  to.set_value(value);
}

// The model without its graph, and the graph without its weights.
std::string model_text(const OnnxModel& model) {
  constexpr int kIrVersion = 8;  // of ONNX 1.12
  ::onnx::ModelProto proto;
  proto.set_ir_version(kIrVersion);
  proto.set_producer_name("convoy");
  proto.set_producer_version(CONVOY_VERSION);
  ::onnx::OperatorSetIdProto& operators = *proto.add_opset_import();
  operators.set_domain("");
  operators.set_version(kOnnxOpset);
  for (const auto& [key, value] : model.metadata) set_entry(*proto.add_metadata_props(), key, value);
  return proto.SerializeAsString();
}

std::string graph_text(const OnnxModel& model) {
  ::onnx::GraphProto proto;
  proto.set_name(model.name);
  for (const OnnxNode& node : model.nodes) set_node(*proto.add_node(), node);
  for (const OnnxPort& port : model.inputs) set_port(*proto.add_input(), port);
  for (const OnnxPort& port : model.outputs) set_port(*proto.add_output(), port);
  return proto.SerializeAsString();
}

std::string_view bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.raw()), tensor.spec().bytes()};
}

// A weight as it is written: what protobuf says of it, and its bytes, which follow there or lie in another file.
struct WrittenWeight {
  std::string head;
  Tensor tensor;
  std::optional<std::int64_t> offset{};  // in the other file

  std::string data_head() const { return offset ? "" : field_head(kDataOfTensor, tensor.spec().bytes()); }
  std::size_t message_bytes() const { return head.size() + data_head().size() + (offset ? 0 : tensor.spec().bytes()); }
};

Tensor contiguous(const Tensor& tensor) {
  if (tensor.is_contiguous()) return tensor;
  Tensor copy = Tensor::empty(tensor.spec());
  copy_elements(tensor, copy);
  return copy;
}

WrittenWeight written(const OnnxWeight& weight) {
  if (weight.tensor.dtype() == DType::kI32)
    fail(ErrorCode::kUsage, "export: weight {} is i32; expected f32, f64 or i64", weight.name);
  ::onnx::TensorProto proto;
  proto.set_name(weight.name);
  proto.set_data_type(static_cast<std::int32_t>(onnx_type(weight.tensor.dtype())));
  for (const std::int64_t extent : weight.tensor.shape()) proto.add_dims(extent);
  return {.head = proto.SerializeAsString(), .tensor = contiguous(weight.tensor)};
}

// Moves the weights that are worth it to a file called `name`, whose bytes it returns.
std::int64_t move_out(std::span<WrittenWeight> weights, const std::string& name) {
  std::int64_t end = 0;
  for (WrittenWeight& weight : weights) {
    const std::size_t bytes = weight.tensor.spec().bytes();
    if (bytes < kLeastExternal) continue;
    weight.offset = (end + kPage - 1) / kPage * kPage;
    end = *weight.offset + static_cast<std::int64_t>(bytes);
    ::onnx::TensorProto place;
    place.set_data_location(::onnx::TensorProto::EXTERNAL);
    set_entry(*place.add_external_data(), "location", name);
    set_entry(*place.add_external_data(), "offset", fmt::format("{}", *weight.offset));
    set_entry(*place.add_external_data(), "length", fmt::format("{}", bytes));
    weight.head += place.SerializeAsString();  // one message after the other is the message of both
  }
  return end;
}

std::size_t graph_bytes(const std::string& graph, std::span<const WrittenWeight> weights) {
  std::size_t bytes = graph.size();
  for (const WrittenWeight& weight : weights) {
    const std::size_t message = weight.message_bytes();
    bytes += field_head(kWeightOfGraph, message).size() + message;
  }
  return bytes;
}

void write_data(DurableFile& file, std::span<const WrittenWeight> weights) {
  std::int64_t end = 0;
  for (const WrittenWeight& weight : weights) {
    if (!weight.offset) continue;
    file.write(std::string(static_cast<std::size_t>(*weight.offset - end), '\0'));
    file.write(bytes_of(weight.tensor));
    end = *weight.offset + static_cast<std::int64_t>(weight.tensor.spec().bytes());
  }
}

void write_graph(DurableFile& file, const std::string& graph, std::span<const WrittenWeight> weights) {
  file.write(graph);
  for (const WrittenWeight& weight : weights) {
    file.write(field_head(kWeightOfGraph, weight.message_bytes()));
    file.write(weight.head);
    if (weight.offset) continue;
    file.write(weight.data_head());
    file.write(bytes_of(weight.tensor));
  }
}

}  // namespace

WrittenOnnx write_onnx(const std::string& path, const OnnxModel& model, const OnnxFileOptions& options) {
  WrittenOnnx result;
  std::vector<WrittenWeight> weights;
  for (const OnnxWeight& weight : model.weights) weights.push_back(written(weight));
  const std::string head = model_text(model), graph = graph_text(model);
  const auto all_bytes = [&] {
    const std::size_t bytes = graph_bytes(graph, weights);
    return static_cast<std::int64_t>(head.size() + field_head(kGraphOfModel, bytes).size() + bytes);
  };
  std::optional<DurableFile> data;
  if (all_bytes() > options.most_bytes) {
    result.data_path = path + ".data";
    result.bytes += move_out(weights, std::filesystem::path(result.data_path).filename().string());
    data.emplace(result.data_path);
    write_data(*data, weights);
  }
  result.bytes += all_bytes();
  DurableFile file(path);
  file.write(head);
  file.write(field_head(kGraphOfModel, graph_bytes(graph, weights)));
  write_graph(file, graph, weights);
  if (data) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    data->commit();
  }
  file.commit();
  return result;
}

}  // namespace convoy

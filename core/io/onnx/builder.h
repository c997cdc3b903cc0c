// What the exporter's rules build with: nodes, constants, and the names under which a graph's values are there.
//
// Convoy lays pictures out as [N, H, W, C], ONNX's convolutions want [N, C, H, W]. A value of rank 4 may be there in
// either form; it is transposed where somebody asks for the other one, once, so that nothing is transposed between
// convolutions.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/io/onnx/model.h"
#include "core/io/onnx/sized_graph.h"

namespace convoy {

class OnnxBuilder {
 public:
  using Name = std::string;

  // states: the tensors of graph.states(). All are kept by reference.
  OnnxBuilder(const SizedGraph& graph, std::span<const Tensor> states);

  const SizedGraph& graph() const { return graph_; }

  // The nodes that follow belong to this one of the graph, and are named after it.
  void begin(NodeId node);
  // Adds a node and returns its outputs.
  std::vector<Name> emit(std::string op, std::vector<Name> inputs, std::vector<OnnxAttribute> attributes,
                         std::size_t outputs);
  Name emit(std::string op, std::vector<Name> inputs, std::vector<OnnxAttribute> attributes = {});

  // A value in our layout, or with the channels moved from the last axis to the second. Throws Error(kUsage) for one
  // that no node gives.
  Name plain(ValueId value);
  Name channels_first(ValueId value);
  // Whether the value is there with its channels first alone.
  bool is_channels_first(ValueId value) const;
  void set(ValueId value, Name name);
  void set_channels_first(ValueId value, Name name);

  // Constants; equal ones are shared.
  Name scalar(double value, DType dtype);
  Name integers(std::span<const std::int64_t> values);
  Name integers(std::initializer_list<std::int64_t> values) { return integers({values.begin(), values.size()}); }
  // A table under a name of its own.
  Name table(const std::string& name, const Tensor& tensor);

  // i64 [1], and i64 [rank].
  Name extent(const OnnxExtent& extent);
  Name shape(const OnnxExtents& extents);
  // `x` of shape `from` under another shape.
  Name reshape(const Name& x, const OnnxExtents& from, const OnnxExtents& to);

  // What `make` emits, once for all who ask under this key: its nodes are named after the key.
  Name shared(const std::string& key, const std::function<Name()>& make);

  // The finished model, its outputs named as the graph's results.
  OnnxModel finish();

 private:
  struct Forms {
    Name plain, channels_first;
  };

  Forms& forms(ValueId value) { return forms_[static_cast<std::size_t>(value)]; }
  void add_inputs();
  void rename(const Name& from, const Name& to);

  const SizedGraph& graph_;
  std::span<const Tensor> states_;
  OnnxModel model_;
  std::vector<Forms> forms_;  // by value
  std::string scope_;
  std::unordered_map<std::string, int> used_;  // how often a name was wanted
  std::unordered_map<std::string, Name> shared_;
};

OnnxType onnx_type(DType dtype);  // throws Error(kUsage) for bf16

}  // namespace convoy

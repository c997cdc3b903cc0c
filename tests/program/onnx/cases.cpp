// Writes what tests hold ONNX runtimes to:
//
//   onnx_cases operators FOLDER       of every operator that can be exported and each case of the operator test a
//   folder
//                                     with model.onnx and values.safetensors (inputs, and outputs as we compute them)
//   onnx_cases logits CHECKPOINT FILE the held-out inputs and targets, and the logits that an evaluation finds,
//   computed
//                                     with f32 activations; batch by batch: "0.inputs", "0.targets", "0.logits", …
//   onnx_cases outside CHECKPOINT FILE  the checkpoint exported with its weights beside the model
//   onnx_cases data FOLDER            data sets for recipes: FOLDER/text.txt, FOLDER/digits
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <set>
#include <vector>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/graph/capture.h"
#include "core/io/onnx/export.h"
#include "core/io/onnx/file.h"
#include "core/io/safetensors.h"
#include "core/ops/elementwise.h"
#include "tests/core/ops/op_table.h"
#include "tests/support/small_data.h"
#include "worker/batches.h"
#include "worker/commands.h"
#include "worker/trained_model.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

Tensor drawn(Device& device, const OpInput& input, std::uint32_t stream) {
  const Tensor tensor = Tensor::empty({input.integer ? DType::kI32 : DType::kF32, input.shape, &device});
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    const double u = uniform_float(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {stream, 7})[0]);
    if (input.integer) {
      tensor.data<std::int32_t>()[i] =
          static_cast<std::int32_t>(input.low + std::floor(u * (input.high - input.low + 1)));
    } else {
      tensor.data<float>()[i] = static_cast<float>(input.low + u * (input.high - input.low));
    }
  }
  return tensor;
}

bool has_elements(std::span<const Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) { return tensor.elements() > 0; });
}

// Writes one case, unless it is of nothing or made of what is not exported.
bool write_case(CpuDevice& device, const OpCase& one, const std::set<std::string>& exported, const fs::path& folder) {
  Tensors inputs;
  for (const OpInput& input : one.inputs)
    inputs.push_back(drawn(device, input, static_cast<std::uint32_t>(inputs.size())));
  std::vector<NamedTensor> values;
  {
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    const Tensors outputs = one.run(inputs);
    if (!has_elements(inputs) || !has_elements(outputs)) return false;
    for (std::size_t i = 0; i < inputs.size(); ++i) values.push_back({"x" + std::to_string(i), inputs[i]});
    for (std::size_t i = 0; i < outputs.size(); ++i) values.push_back({"y" + std::to_string(i), outputs[i]});
  }
  const SizedGraph graph({}, [&](std::span<const std::int64_t>) {
    Capture capture(device);
    Tensors symbols;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      symbols.push_back(capture.input("x" + std::to_string(i), inputs[i].spec()));
    const Tensors outputs = one.run(symbols);
    for (std::size_t i = 0; i < outputs.size(); ++i) capture.result("y" + std::to_string(i), outputs[i]);
    return capture.finish();
  });
  for (const Node& node : graph.graph().nodes()) {
    if (!exported.contains(std::string(node.op->name()))) return false;
  }
  for (const Value& value : graph.graph().values()) {
    if (value.spec.dtype == DType::kBF16) return false;
  }
  OnnxModel model = export_onnx(graph, {});
  model.name = "case";
  fs::create_directories(folder);
  write_onnx(folder / "model.onnx", model);
  write_safetensors(folder / "values.safetensors", values);
  return true;
}

void write_operators(const fs::path& folder) {
  CpuDevice device;
  const std::vector<std::string> names = onnx_operators();
  const std::set<std::string> exported(names.begin(), names.end());
  std::set<std::string> missing = exported;
  for (const OpRow& row : all_rows()) {
    if (!exported.contains(row.op)) continue;
    for (std::size_t i = 0; i < row.cases.size(); ++i) {
      if (write_case(device, row.cases[i], exported, folder / fmt::format("{}-{}", row.op, i))) missing.erase(row.op);
    }
  }
  if (!missing.empty()) fail(ErrorCode::kInternal, "{} has no case", *missing.begin());
}

void write_logits(const std::string& checkpoint, const std::string& file) {
  const worker::TrainedModel model =
      worker::open_trained_model({.source = checkpoint, .purpose = "a test", .precision = "fp32"}, worker::Workload{});
  const worker::Batches batches(*model.dataset, model.recipe.train, *model.device);
  std::vector<NamedTensor> values;
  for (std::int32_t i = 0; i < batches.evaluation_batches(); ++i) {
    const Recorder recorder(*model.device, {}, Recorder::Tape::kOff);
    const Batch batch = batches.evaluation(i);
    values.push_back({fmt::format("{}.inputs", i), batch.inputs});
    values.push_back({fmt::format("{}.targets", i), batch.targets});
    values.push_back({fmt::format("{}.logits", i), model.replica->model().logits(batch.inputs, Mode::kInfer)});
  }
  write_safetensors(file, values);
}

void write_data(const fs::path& folder) {
  fs::create_directories(folder);
  testing_support::write_text(folder / "text.txt", 6000);
  testing_support::write_digits(folder / "digits", 100);
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "operators") {
    write_operators(words[1]);
  } else if (words.size() == 3 && words[0] == "logits") {
    write_logits(words[1], words[2]);
  } else if (words.size() == 3 && words[0] == "outside") {
    worker::export_checkpoint({.source = words[1], .path = words[2], .file = {.most_bytes = 1}});
  } else if (words.size() == 2 && words[0] == "data") {
    write_data(words[1]);
  } else {
    std::cerr
        << "usage: onnx_cases operators FOLDER | logits CHECKPOINT FILE | outside CHECKPOINT FILE | data FOLDER\n";
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  try {
    return convoy::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "onnx_cases: " << error.what() << "\n";
    return 1;
  }
}

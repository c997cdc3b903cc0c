#include <fmt/format.h>

#include "core/io/onnx/export.h"
#include "worker/captured_forward.h"
#include "worker/commands.h"
#include "worker/trained_model.h"

namespace convoy::worker {
namespace {

// What a reader of the file alone would not know.
std::map<std::string, std::string> metadata_of(const TrainedModel& model) {
  const Recipe& recipe = model.recipe;
  std::map<std::string, std::string> metadata{{"convoy.model", recipe.model.kind},
                                              {"convoy.data", recipe.data.kind},
                                              {"convoy.step", fmt::format("{}", model.manifest.step)},
                                              {"convoy.recipe", to_toml(recipe)}};
  if (recipe.data.kind == "text") metadata["convoy.tokenizer"] = recipe.data.tokenizer;
  return metadata;
}

}  // namespace

CheckpointExport export_checkpoint(const ExportCommand& command) {
  const TrainedModel model = open_trained_model({.source = command.source,
                                                 .overrides = command.overrides,
                                                 .purpose = "an export",
                                                 .precision = "fp32",
                                                 .warn = command.warn},
                                                command.workload);
  Tensors states;
  for (const Parameter& parameter : model.replica->model().parameters()) states.push_back(parameter.value());
  Recipe exported = model.recipe;
  exported.train.precision = "fp32";
  const SizedGraph graph =
      capture_sized_forward(model.replica->model(), task_of(*model.dataset, exported), *model.device);
  OnnxModel onnx = export_onnx(graph, states);
  onnx.name = model.recipe.model.kind;
  onnx.metadata = metadata_of(model);
  const WrittenOnnx written = write_onnx(command.path, onnx, command.file);
  return {.path = command.path,
          .data_path = written.data_path,
          .checkpoint = model.checkpoint,
          .step = model.manifest.step,
          .input = to_string(onnx.inputs.front()),
          .output = to_string(onnx.outputs.front()),
          .bytes = written.bytes};
}

std::string to_text(const CheckpointExport& exported) {
  constexpr double kMiB = 1024.0 * 1024.0;
  const std::string data = exported.data_path.empty() ? "" : fmt::format(", weights in {}", exported.data_path);
  return fmt::format("{}: {} as ONNX, opset {}: {} -> {}; {:.1f} MiB{}", exported.path, exported.checkpoint, kOnnxOpset,
                     exported.input, exported.output, static_cast<double>(exported.bytes) / kMiB, data);
}

}  // namespace convoy::worker

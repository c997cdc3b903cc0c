// onnx_check FILE …: whether ONNX's own checker and its (strict) shape inference accept the models. A program of its
// own, because ONNX's library brings the classes that Convoy compiles for itself.
#include <onnx/checker.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <exception>
#include <fstream>
#include <iostream>
#include <string>

namespace {

void check(const std::string& path) {
  onnx::checker::check_model(path);
  onnx::ModelProto model;
  std::ifstream file(path, std::ios::binary);
  if (!model.ParseFromIstream(&file)) throw std::runtime_error("is no model");
  onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(),
                                     onnx::ShapeInferenceOptions{true, 1, true});
}

}  // namespace

int main(int argc, char** argv) {
  int refused = 0;
  for (int i = 1; i < argc; ++i) {
    try {
      check(argv[i]);
    } catch (const std::exception& error) {
      std::cerr << argv[i] << ": " << error.what() << "\n";
      refused = 1;
    }
  }
  return refused;
}

#include "core/io/onnx/file.h"

#include <onnx/onnx.pb.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/ops/matmul.h"
#include "tests/core/io/onnx/exported.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

class OnnxFileTest : public ExportedTest {
 protected:
  OnnxFileTest() {
    std::string pattern = fs::temp_directory_path() / "convoy-onnx-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    const Tensor w = weight({40, 30});
    std::iota(w.data<float>(), w.data<float>() + w.elements(), 0.0F);
    const Tensor b = weight({30});
    std::iota(b.data<float>(), b.data<float>() + b.elements(), 7.0F);
    model_ = exported({40}, [&](const Tensor& x) { return linear(x, w, b, Activation::kRelu); });
    model_.name = "test";
    model_.metadata = {{"convoy.step", "12"}};
  }
  ~OnnxFileTest() override { fs::remove_all(folder_); }

  std::string path() const { return folder_ / "model.onnx"; }
  static std::string read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  ::onnx::ModelProto parsed() const {
    ::onnx::ModelProto model;
    EXPECT_TRUE(model.ParseFromString(read(path())));
    return model;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path folder_;
  OnnxModel model_;
};

std::vector<float> floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

TEST_F(OnnxFileTest, HoldsTheModel) {
  const WrittenOnnx written = write_onnx(path(), model_);
  EXPECT_EQ(written.bytes, static_cast<std::int64_t>(fs::file_size(path())));
  const ::onnx::ModelProto model = parsed();
  EXPECT_EQ(model.ir_version(), 8);
  EXPECT_EQ(model.opset_import(0).version(), kOnnxOpset);
  EXPECT_EQ(model.producer_name(), "convoy");
  EXPECT_EQ(model.metadata_props(0).key(), "convoy.step");
  EXPECT_EQ(model.metadata_props(0).value(), "12");
  const ::onnx::GraphProto& graph = model.graph();
  EXPECT_EQ(graph.name(), "test");
  ASSERT_EQ(graph.node_size(), 2);
  EXPECT_EQ(graph.node(0).op_type(), "Gemm");
  EXPECT_EQ(graph.node(1).op_type(), "Relu");
  EXPECT_EQ(graph.node(1).output(0), "y");
  EXPECT_EQ(graph.input(0).type().tensor_type().shape().dim(0).dim_param(), "batch");
  EXPECT_EQ(graph.input(0).type().tensor_type().shape().dim(1).dim_value(), 40);
  ASSERT_EQ(graph.initializer_size(), 2);
  EXPECT_EQ(graph.initializer(0).name(), "w0");
  EXPECT_EQ(graph.initializer(0).dims(1), 30);
  EXPECT_EQ(graph.initializer(0).data_type(), ::onnx::TensorProto::FLOAT);
  EXPECT_EQ(floats(graph.initializer(0).raw_data()), weights_[0].to_vector<float>());
  EXPECT_EQ(floats(graph.initializer(1).raw_data()), weights_[1].to_vector<float>());
}

TEST_F(OnnxFileTest, EqualModelsGiveEqualBytes) {
  write_onnx(path(), model_);
  const std::string first = read(path());
  write_onnx(path(), model_);
  EXPECT_EQ(read(path()), first);
}

TEST_F(OnnxFileTest, LargeModelsKeepTheirWeightsInAFileOfTheirOwn) {
  const WrittenOnnx written = write_onnx(path(), model_, {.most_bytes = 1000});
  EXPECT_EQ(written.data_path, path() + ".data");
  EXPECT_EQ(written.bytes, static_cast<std::int64_t>(fs::file_size(path()) + fs::file_size(written.data_path)));
  EXPECT_EQ(files(), (std::vector<std::string>{"model.onnx", "model.onnx.data"}));
  const ::onnx::ModelProto model = parsed();
  const ::onnx::TensorProto& outside = model.graph().initializer(0);
  EXPECT_EQ(outside.data_location(), ::onnx::TensorProto::EXTERNAL);
  EXPECT_TRUE(outside.raw_data().empty());
  ASSERT_EQ(outside.external_data_size(), 3);
  EXPECT_EQ(outside.external_data(0).value(), "model.onnx.data");
  const std::int64_t offset = std::stoll(outside.external_data(1).value());
  const std::int64_t length = std::stoll(outside.external_data(2).value());
  EXPECT_EQ(offset % 4096, 0);
  const std::string bytes = read(written.data_path).substr(static_cast<std::size_t>(offset));
  EXPECT_EQ(floats(bytes.substr(0, static_cast<std::size_t>(length))), weights_[0].to_vector<float>());
  EXPECT_EQ(floats(model.graph().initializer(1).raw_data()), weights_[1].to_vector<float>());
}

TEST_F(OnnxFileTest, AnOldModelNeverStandsBesideOtherWeights) {
  write_onnx(path(), model_, {.most_bytes = 1000});
  fs::remove(path() + ".data");
  fs::create_directories(path() + ".data/in the way");
  EXPECT_THROW(write_onnx(path(), model_, {.most_bytes = 1000}), Error);
  EXPECT_EQ(files(), std::vector<std::string>{"model.onnx.data"});
}

TEST_F(OnnxFileTest, NothingIsLeftWhereItCannotBeWritten) {
  const std::string missing = folder_ / "missing" / "model.onnx";
  try {
    write_onnx(missing, model_);
    FAIL() << "was written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(missing), std::string::npos) << error.what();
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(OnnxFileTest, ViewsAreWrittenAsTheyLookAndIntegersAreRefused) {
  OnnxModel model = model_;
  Layout across = Layout::contiguous({30, 40});
  across.strides = {1, 30};
  model.weights = {{"across", weights_[0].view(across)}};
  write_onnx(path(), model);
  EXPECT_EQ(floats(parsed().graph().initializer(0).raw_data()), model.weights[0].tensor.to_vector<float>());
  model.weights = {{"ids", Tensor::zeros({DType::kI32, {3}, &device_})}};
  EXPECT_EQ(refusal([&] { write_onnx(path(), model); }), "export: weight ids is i32; expected f32, f64 or i64");
}

}  // namespace
}  // namespace convoy

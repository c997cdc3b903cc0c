#include "core/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/uuid.h"
#include "core/device/cpu_device.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

class SafetensorsTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path() const { return (folder_ / "x.safetensors").string(); }
  std::string contents() const {
    std::ifstream file(path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  void write_raw(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  void write_raw(const std::string& header, std::size_t data_bytes) const {
    const std::uint64_t size = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &size, 8);
    write_raw(bytes + header + std::string(data_bytes, '\1'));
  }
  // What is wrong with the file, without its path.
  std::string refused() const {
    try {
      SafetensorsFile file(path());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
      const std::string what = error.what();
      EXPECT_TRUE(what.starts_with(path() + ": ")) << what;
      return what.substr(path().size() + 2);
    }
    return "no error";
  }
  std::string refused(const std::string& header, std::size_t data_bytes) const {
    write_raw(header, data_bytes);
    return refused();
  }

  template <typename T>
  Tensor tensor(const Shape& shape, std::vector<T> values) {
    return Tensor::of<T>(device_, shape, std::span<const T>(values));
  }

  CpuDevice device_;
  fs::path folder_ = fs::path(testing::TempDir()) / ("safetensors_" + random_hex(8));
};

TEST_F(SafetensorsTest, EveryTypeAndShapeRoundTrips) {
  write_safetensors(path(),
                    std::vector<NamedTensor>{{"w", tensor<float>({2, 3}, {1, 2, 3, 4, 5, -0.0f})},
                                             {"a.scalar", tensor<double>({}, {0.1})},
                                             {"b.empty", tensor<float>({0, 4}, {})},
                                             {"half", tensor<bfloat16>({2}, {bfloat16(1.5f), bfloat16(-3)})},
                                             {"ids", tensor<std::int32_t>({2}, {-1, 7})},
                                             {"step", tensor<std::int64_t>({1}, {std::int64_t{1} << 60})}},
                    {{"format", "convoy"}, {"note", "é \"quoted\""}});
  const SafetensorsFile file(path());
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a.scalar", "b.empty", "half", "ids", "step", "w"}));
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "convoy"}, {"note", "é \"quoted\""}}));
  EXPECT_EQ(file.spec("w").to_string(), "f32[2, 3]");
  EXPECT_EQ(file.read("w", device_).to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, -0.0f}));
  EXPECT_TRUE(std::signbit(file.read("w", device_).to_vector<float>()[5]));
  EXPECT_EQ(file.read("a.scalar", device_).item(), 0.1);
  EXPECT_EQ(file.read("a.scalar", device_).shape().rank(), 0);
  EXPECT_EQ(file.read("b.empty", device_).shape(), (Shape{0, 4}));
  EXPECT_EQ(file.spec("half").to_string(), "bf16[2]");
  EXPECT_EQ(static_cast<float>(file.read("half", device_).to_vector<bfloat16>()[1]), -3.0f);
  EXPECT_EQ(file.read("ids", device_).to_vector<std::int32_t>(), (std::vector<std::int32_t>{-1, 7}));
  EXPECT_EQ(file.read("step", device_).to_vector<std::int64_t>()[0], std::int64_t{1} << 60);
}

TEST_F(SafetensorsTest, BytesFollowTheFormat) {
  const WrittenFile written = write_safetensors(
      path(), std::vector<NamedTensor>{{"b", tensor<std::int32_t>({1}, {2})}, {"a", tensor<std::int32_t>({1}, {1})}});
  const std::string bytes = contents();
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  EXPECT_EQ(header_size % 8, 0u);
  const auto header = nlohmann::json::parse(bytes.substr(8, header_size));
  EXPECT_EQ(header["a"], (nlohmann::json{{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {0, 4}}}));
  EXPECT_EQ(header["b"], (nlohmann::json{{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {4, 8}}}));
  EXPECT_EQ(header.size(), 2u);
  EXPECT_EQ(bytes.substr(8 + header_size), std::string("\1\0\0\0\2\0\0\0", 8));

  EXPECT_EQ(written.bytes, static_cast<std::int64_t>(bytes.size()));
  Xxh3Hasher128 hasher;
  hasher.update(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(written.hash, hasher.hex());
}

TEST_F(SafetensorsTest, BytesThatComeInPiecesGiveTheSameFile) {
  const std::vector<NamedTensor> tensors{{"a", tensor<float>({3}, {1, 2, 3})},
                                         {"b.empty", tensor<float>({0}, {})},
                                         {"c", tensor<std::int64_t>({2}, {4, 5})}};
  const WrittenFile at_once = write_safetensors(path(), tensors, {{"k", "v"}});
  const std::string expected = contents();
  std::string data;
  std::vector<NamedSpec> specs;
  for (const NamedTensor& tensor : tensors) {
    specs.push_back({tensor.name, tensor.tensor.spec()});
    data.append(static_cast<const char*>(tensor.tensor.raw()), tensor.tensor.spec().bytes());
  }
  for (const std::size_t piece : {1U, 5U, 100U}) {
    SafetensorsWriter file(path(), specs, {{"k", "v"}}, Flushing::kAsItGoes);
    for (std::size_t at = 0; at < data.size(); at += piece)
      file.write(std::as_bytes(std::span(data).subspan(at, std::min(piece, data.size() - at))));
    const WrittenFile written = file.commit();
    EXPECT_EQ(contents(), expected);
    EXPECT_EQ(written.hash, at_once.hash);
    EXPECT_EQ(written.bytes, at_once.bytes);
  }
}

TEST_F(SafetensorsTest, AFileThatLacksBytesIsNotCommitted) {
  SafetensorsWriter file(path(), std::vector<NamedSpec>{{"a", {DType::kF32, {3}, &device_}}});
  file.write(std::as_bytes(std::span("12345678", 8)));
  EXPECT_THROW(file.commit(), Error);
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(SafetensorsTest, ViewsAreWrittenAsTheyLook) {
  const Tensor rows = tensor<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor columns = rows.view({{3, 2}, {1, 3}, 0});
  write_safetensors(path(), std::vector<NamedTensor>{{"t", columns}});
  const SafetensorsFile file(path());
  EXPECT_EQ(file.read("t", device_).to_vector<float>(), (std::vector<float>{1, 4, 2, 5, 3, 6}));

  const Tensor into = Tensor::zeros({DType::kF32, {2, 3}, &device_});
  file.read_into("t", into.view({{3, 2}, {1, 3}, 0}));
  EXPECT_EQ(into.to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST_F(SafetensorsTest, ReadingWhatIsNotThereIsRefused) {
  write_safetensors(path(), std::vector<NamedTensor>{{"t", tensor<float>({2}, {1, 2})}});
  const SafetensorsFile file(path());
  EXPECT_TRUE(file.contains("t"));
  EXPECT_FALSE(file.contains("u"));
  EXPECT_THROW(file.read("u", device_), Error);
  EXPECT_THROW(file.read_into("t", Tensor::zeros({DType::kF32, {3}, &device_})), Error);
  EXPECT_THROW(file.read_into("t", Tensor::zeros({DType::kI32, {2}, &device_})), Error);
}

TEST_F(SafetensorsTest, NamesThatCannotBeAreRefusedAndLeaveNoFile) {
  const Tensor t = tensor<float>({1}, {1});
  EXPECT_THROW(write_safetensors(path(), std::vector<NamedTensor>{{"t", t}, {"t", t}}), Error);
  EXPECT_THROW(write_safetensors(path(), std::vector<NamedTensor>{{"", t}}), Error);
  EXPECT_THROW(write_safetensors(path(), std::vector<NamedTensor>{{"__metadata__", t}}), Error);
  EXPECT_THROW(write_safetensors(path(), std::vector<NamedTensor>{{"\xff", t}}), Error);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(SafetensorsTest, AFileWithoutTensorsIsAFile) {
  write_safetensors(path(), {});
  EXPECT_TRUE(SafetensorsFile(path()).names().empty());
}

TEST_F(SafetensorsTest, DamagedFilesAreNamed) {
  EXPECT_EQ(refused(), "cannot open: No such file or directory");
  write_raw("short");
  EXPECT_EQ(refused(), "holds 5 bytes; a safetensors file has at least 8");
  write_raw(std::string(16, '\1'));
  EXPECT_EQ(refused(), "announces a header of 72340172838076673 bytes, but holds 16 bytes in all");
  EXPECT_EQ(refused("{\"a\":", 0), "its header is not a JSON object");
  EXPECT_EQ(refused("[]", 0), "its header is not a JSON object");
  EXPECT_EQ(refused("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__ is not a map of strings");
  EXPECT_EQ(refused(R"({"a":3})", 0), "tensor \"a\": its dtype is not one of F32, F64, I32, I64, BF16");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", 2),
            "tensor \"a\": its dtype is not one of F32, F64, I32, I64, BF16");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
            "tensor \"a\": its shape is not a list of integers >= 0");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4),
            "tensor \"a\": its rank is 7; expected at most 6");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4),
            "tensor \"a\": its shape is too large");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1]}})", 4),
            "tensor \"a\": its data_offsets are not two integers >= 0");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 4),
            "tensor \"a\": its data_offsets [4, 8] lie outside the 4 bytes of data");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4),
            "tensor \"a\": its data_offsets [4, 0] lie outside the 4 bytes of data");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
            "tensor \"a\": its data_offsets span 4 bytes, its dtype and shape need 8");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                    4),
            "data overlaps at byte 0");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8), "data has a hole at byte 0");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8),
            "holds 8 bytes of data, its tensors need 4");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                    4),
            "two tensors are named \"a\"");
}

// Whatever a crash or a bad disk leaves of a file, opening it throws; it never reads beyond the end.
TEST_F(SafetensorsTest, EveryTruncationIsNoticed) {
  write_safetensors(path(), std::vector<NamedTensor>{{"a", tensor<float>({3}, {1, 2, 3})}}, {{"k", "v"}});
  const std::string whole = contents();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_raw(whole.substr(0, size));
    EXPECT_NE(refused(), "no error") << size;
  }
}

}  // namespace
}  // namespace convoy

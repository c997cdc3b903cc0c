#include "tests/support/small_data.h"

#include <array>
#include <fstream>
#include <string>

#include "core/base/philox.h"

namespace convoy::testing_support {
namespace {

std::uint32_t draw(std::uint64_t stream, std::uint64_t index, std::uint32_t below) {
  return philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0}, mix(stream))[0] %
         below;
}

void put_u32(std::ofstream& file, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) file.put(static_cast<char>(value >> shift));
}

}  // namespace

void write_text(const std::filesystem::path& file, std::int64_t bytes) {
  static constexpr std::array<const char*, 12> kWords = {"the",  "worker",  "sums", "a",     "gradient", "and",
                                                         "then", "another", "one",  "waits", "for",      "it"};
  std::string text;
  for (std::uint64_t i = 0; static_cast<std::int64_t>(text.size()) < bytes; ++i) {
    text += kWords[draw(1, i, kWords.size())];
    text += draw(2, i, 9) == 0 ? ".\n" : " ";
  }
  text.resize(static_cast<std::size_t>(bytes));
  std::ofstream(file, std::ios::binary) << text;
}

void write_digits(const std::filesystem::path& folder, std::int32_t count) {
  constexpr std::uint32_t kSide = 28;
  std::filesystem::create_directories(folder);
  std::ofstream images(folder / "t10k-images-idx3-ubyte", std::ios::binary);
  std::ofstream labels(folder / "t10k-labels-idx1-ubyte", std::ios::binary);
  put_u32(images, 0x803);
  put_u32(images, static_cast<std::uint32_t>(count));
  put_u32(images, kSide);
  put_u32(images, kSide);
  put_u32(labels, 0x801);
  put_u32(labels, static_cast<std::uint32_t>(count));
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
    const std::uint32_t label = draw(3, i, 10);
    labels.put(static_cast<char>(label));
    // A bright band whose place is the class, in noise.
    for (std::uint32_t pixel = 0; pixel < kSide * kSide; ++pixel) {
      const bool band = pixel / kSide / 2 == label;
      images.put(static_cast<char>((band ? 128 : 0) + draw(4, i * kSide * kSide + pixel, 100)));
    }
  }
}

void write_cifar10(const std::filesystem::path& folder, std::int32_t count) {
  constexpr std::uint32_t kSide = 32;
  std::filesystem::create_directories(folder);
  std::uint64_t picture = 0;
  for (const char* name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    std::ofstream file(folder / (std::string(name) + ".bin"), std::ios::binary);
    for (std::int32_t i = 0; i < count / 5; ++i, ++picture) {
      const std::uint32_t label = draw(5, picture, 10);
      file.put(static_cast<char>(label));
      // Three planes: a bright band whose place and colour are the class, in noise.
      for (std::uint32_t value = 0; value < 3 * kSide * kSide; ++value) {
        const bool band = value % (kSide * kSide) / kSide / 3 == label && value / (kSide * kSide) == label % 3;
        file.put(static_cast<char>((band ? 128 : 0) + draw(6, picture * 3 * kSide * kSide + value, 100)));
      }
    }
  }
}

}  // namespace convoy::testing_support

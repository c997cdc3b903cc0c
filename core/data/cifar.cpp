#include "core/data/cifar.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"
#include "core/data/augment.h"
#include "core/data/held_out.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSide = 32;
constexpr std::int64_t kChannels = 3;
constexpr std::int64_t kPlane = kSide * kSide;
constexpr std::int64_t kPixels = kPlane * kChannels;
constexpr std::int64_t kReach = 4;  // of augmentation's moves, pixels

// One of the two published sets. Means and deviations are those of its training pictures.
struct Variant {
  const char* folder;
  std::vector<const char*> train;
  const char* test;
  std::int64_t label_bytes;  // before the pixels; the last one is the class
  std::int64_t classes;
  std::array<double, 3> means;
  std::array<double, 3> deviations;

  std::int64_t record() const { return label_bytes + kPixels; }
};

const Variant& cifar10() {
  static const Variant variant{
      "cifar-10-batches-bin",
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      "test_batch.bin",
      1,
      10,
      {0.4914, 0.4822, 0.4465},
      {0.2470, 0.2435, 0.2616}};
  return variant;
}

const Variant& cifar100() {
  static const Variant variant{"cifar-100-binary",       {"train.bin"},           "test.bin", 2, 100,
                               {0.5071, 0.4865, 0.4409}, {0.2673, 0.2564, 0.2762}};
  return variant;
}

bool is_there(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored);
}

// Records of one file or several, one after the other.
class Records {
 public:
  explicit Records(const Variant& variant) : variant_(variant) {}

  void append(const fs::path& path) {
    MappedFile file(path.string(), ErrorCode::kUsage);
    const auto size = static_cast<std::int64_t>(file.bytes().size());
    const std::int64_t record = variant_.record();
    if (size == 0 || size % record != 0) {
      fail(ErrorCode::kUsage, "{}: has {} bytes; expected a multiple of {}, one picture each", path.string(), size,
           record);
    }
    for (std::int64_t i = 0; i < size / record; ++i) {
      const int label = static_cast<unsigned char>(file.bytes()[at(i * record + variant_.label_bytes - 1)]);
      if (label >= variant_.classes) {
        fail(ErrorCode::kUsage, "{}: label {} is {}; expected a class from 0 to {}", path.string(), i, label,
             variant_.classes - 1);
      }
    }
    ends_.push_back(count() + size / record);
    files_.push_back(std::move(file));
  }

  std::int64_t count() const { return ends_.empty() ? 0 : ends_.back(); }

  // Label(s), then the red, green and blue planes.
  const std::uint8_t* operator[](std::int64_t i) const {
    const auto file = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), i) - ends_.begin());
    const std::int64_t first = file == 0 ? 0 : ends_[file - 1];
    return reinterpret_cast<const std::uint8_t*>(files_[file].bytes().data()) + (i - first) * variant_.record();
  }

  void hash(Xxh3Hasher128& hasher) const {
    for (const MappedFile& file : files_) hasher.update(std::as_bytes(std::span(file.bytes())));
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  const Variant& variant_;
  std::vector<MappedFile> files_;
  std::vector<std::int64_t> ends_;  // of each file, in pictures
};

class CifarDataset final : public Dataset {
 public:
  // Pictures [0, train) train, the others are held out.
  CifarDataset(const Variant& variant, Records records, std::int64_t train, Augment augment, std::uint64_t seed)
      : variant_(variant),
        records_(std::move(records)),
        train_(train),
        augment_(augment),
        seed_(seed),
        normalization_(variant.means, variant.deviations) {}

  std::int64_t size(Split split) const override { return split == Split::kTrain ? train_ : records_.count() - train_; }
  SampleSpec input_spec() const override { return {DType::kF32, {kSide, kSide, kChannels}}; }
  SampleSpec target_spec() const override { return {DType::kI32, {}}; }
  std::int64_t classes() const override { return variant_.classes; }
  std::int64_t tokens_per_sample() const override { return 0; }
  std::string digest() const override {
    Xxh3Hasher128 hasher;
    records_.hash(hasher);
    return hasher.hex();
  }

 private:
  void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const override {
    const std::uint8_t* record = records_[split == Split::kTrain ? sample.number : train_ + sample.number];
    const std::uint8_t* planes = record + variant_.label_bytes;
    std::array<std::uint8_t, kPixels> pixels;
    std::uint8_t* pixel = pixels.data();
    for (std::int64_t i = 0; i < kPlane; ++i) {
      for (std::int64_t c = 0; c < kChannels; ++c) *pixel++ = planes[c * kPlane + i];
    }
    const PictureView picture{pixels.data(), kSide, kSide, kChannels};
    auto* out = static_cast<float*>(input);
    if (split == Split::kTrain && augment_ != Augment::kNone) {
      write_augmented(picture, augment_, kReach, SampleDraws(seed_, sample), normalization_, out);
    } else {
      normalization_.apply(picture, out);
    }
    *target = record[variant_.label_bytes - 1];
  }

  const Variant& variant_;
  Records records_;
  std::int64_t train_;
  Augment augment_;
  std::uint64_t seed_;
  Normalization normalization_;
};

struct Place {
  const Variant* variant;
  fs::path folder;
};

// Which set lies where: in the folder itself, or in the one of that name below it.
Place find_set(const DataRecipe& recipe) {
  std::vector<Place> places;
  for (const Variant* variant : {&cifar10(), &cifar100()}) {
    for (const fs::path& folder : {fs::path(recipe.path), fs::path(recipe.path) / variant->folder}) {
      if (!is_there(folder / variant->train.front())) continue;
      places.push_back({variant, folder});
      break;
    }
  }
  if (places.empty()) {
    fail(ErrorCode::kUsage,
         "data.path: {} holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100); expected the binary "
         "version",
         recipe.path);
  }
  if (places.size() == 2) {
    fail(ErrorCode::kUsage, "data.path: {} holds CIFAR-10 ({}) and CIFAR-100 ({}); expected one of them", recipe.path,
         places[0].variant->train.front(), places[1].variant->train.front());
  }
  return places.front();
}

}  // namespace

std::unique_ptr<Dataset> open_cifar(const DataRecipe& recipe, std::uint64_t seed) {
  const auto [variant, folder] = find_set(recipe);
  Records records(*variant);
  for (const char* name : variant->train) records.append(folder / name);
  const std::int64_t pictures = records.count();
  std::int64_t train = pictures;
  if (is_there(folder / variant->test)) {
    records.append(folder / variant->test);
  } else {
    train = pictures - held_out(pictures, recipe.eval_fraction);
    if (train < 1) {
      fail(ErrorCode::kUsage, "data.eval_fraction: {} of the {} pictures in {} leaves none to train on; expected less",
           recipe.eval_fraction, pictures, folder.string());
    }
  }
  return std::make_unique<CifarDataset>(*variant, std::move(records), train, augment_from(recipe.augment), seed);
}

}  // namespace convoy

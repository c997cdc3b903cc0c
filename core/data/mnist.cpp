#include "core/data/mnist.h"

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/augment.h"
#include "core/data/held_out.h"
#include "core/data/idx_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSide = 28;
constexpr std::int64_t kPixels = kSide * kSide;
constexpr std::int64_t kClasses = 10;
constexpr std::int64_t kReach = 2;  // of augmentation's moves, pixels
// Of the pixels of MNIST's 60,000 training digits.
constexpr std::array<double, 1> kMeans{0.1307};
constexpr std::array<double, 1> kDeviations{0.3081};

struct Pictures {
  std::vector<std::uint8_t> pixels;  // kPixels a picture
  std::vector<std::uint8_t> labels;
};

// NAME or NAME.gz in `folder`; nothing if neither is there.
std::optional<std::string> find(const fs::path& folder, const std::string& name) {
  for (const char* suffix : {"", ".gz"}) {
    std::error_code ignored;
    if (fs::exists(folder / (name + suffix), ignored)) return (folder / (name + suffix)).string();
  }
  return std::nullopt;
}

Pictures read_pictures(const std::string& images_path, const std::string& labels_path) {
  IdxFile images = read_idx(images_path, 3);
  if (images.shape[1] != kSide || images.shape[2] != kSide) {
    fail(ErrorCode::kUsage, "{}: its pictures have {} x {} pixels; expected 28 x 28", images_path, images.shape[1],
         images.shape[2]);
  }
  if (images.shape[0] == 0) fail(ErrorCode::kUsage, "{}: holds no pictures", images_path);
  IdxFile labels = read_idx(labels_path, 1);
  if (labels.shape[0] != images.shape[0]) {
    fail(ErrorCode::kUsage, "{}: holds {} labels; expected one for each of the {} pictures in {}", labels_path,
         labels.shape[0], images.shape[0], images_path);
  }
  for (std::size_t i = 0; i < labels.elements.size(); ++i) {
    if (labels.elements[i] >= kClasses) {
      fail(ErrorCode::kUsage, "{}: label {} is {}; expected a digit from 0 to 9", labels_path, i, labels.elements[i]);
    }
  }
  return {std::move(images.elements), std::move(labels.elements)};
}

// The set of files that begin with `prefix`; nothing if none of them is there.
std::optional<Pictures> read_set(const fs::path& folder, const std::string& prefix) {
  const std::string images_name = prefix + "-images-idx3-ubyte";
  const std::string labels_name = prefix + "-labels-idx1-ubyte";
  const auto images = find(folder, images_name);
  const auto labels = find(folder, labels_name);
  if (!images && !labels) return std::nullopt;
  if (!images || !labels) {
    fail(ErrorCode::kUsage, "data.path: {} holds {} but not {}[.gz]", folder.string(),
         images ? images_name : labels_name, images ? labels_name : images_name);
  }
  return read_pictures(*images, *labels);
}

class MnistDataset final : public Dataset {
 public:
  // Pictures [0, train) train, the others are held out.
  MnistDataset(Pictures pictures, std::int64_t train, Augment augment, std::uint64_t seed)
      : pictures_(std::move(pictures)),
        train_(train),
        augment_(augment),
        seed_(seed),
        normalization_(kMeans, kDeviations) {}

  std::int64_t size(Split split) const override {
    return split == Split::kTrain ? train_ : static_cast<std::int64_t>(pictures_.labels.size()) - train_;
  }
  SampleSpec input_spec() const override { return {DType::kF32, {kSide, kSide, 1}}; }
  SampleSpec target_spec() const override { return {DType::kI32, {}}; }
  std::int64_t classes() const override { return kClasses; }
  std::int64_t tokens_per_sample() const override { return 0; }
  std::string digest() const override {
    Xxh3Hasher128 hasher;
    hasher.update(std::as_bytes(std::span(pictures_.pixels)));
    hasher.update(std::as_bytes(std::span(pictures_.labels)));
    return hasher.hex();
  }

 private:
  void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const override {
    const std::int64_t picture = split == Split::kTrain ? sample.number : train_ + sample.number;
    const std::uint8_t* pixels = pictures_.pixels.data() + picture * kPixels;
    const PictureView view{pixels, kSide, kSide, 1};
    auto* out = static_cast<float*>(input);
    if (split == Split::kTrain && augment_ != Augment::kNone) {
      write_augmented(view, augment_, kReach, SampleDraws(seed_, sample), normalization_, out);
    } else {
      normalization_.apply(view, out);
    }
    *target = pictures_.labels[static_cast<std::size_t>(picture)];
  }

  Pictures pictures_;
  std::int64_t train_;
  Augment augment_;
  std::uint64_t seed_;
  Normalization normalization_;
};

}  // namespace

std::unique_ptr<Dataset> open_mnist(const DataRecipe& recipe, std::uint64_t seed) {
  const Augment augment = augment_from(recipe.augment);
  const fs::path folder = recipe.path;
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    fail(ErrorCode::kUsage, "data.path: {}: {}; expected a folder with MNIST's IDX files", recipe.path,
         error ? error.message() : "not a folder");
  }
  std::optional<Pictures> train = read_set(folder, "train");
  std::optional<Pictures> test = read_set(folder, "t10k");
  if (train && test) {
    const auto trained = static_cast<std::int64_t>(train->labels.size());
    train->pixels.insert(train->pixels.end(), test->pixels.begin(), test->pixels.end());
    train->labels.insert(train->labels.end(), test->labels.begin(), test->labels.end());
    return std::make_unique<MnistDataset>(*std::move(train), trained, augment, seed);
  }
  std::optional<Pictures>& only = train ? train : test;
  if (!only) {
    fail(ErrorCode::kUsage,
         "data.path: {} holds neither train-images-idx3-ubyte and train-labels-idx1-ubyte nor the same with t10k-, "
         "with or without .gz",
         recipe.path);
  }
  const auto count = static_cast<std::int64_t>(only->labels.size());
  if (count == 1) fail(ErrorCode::kUsage, "data.path: {} holds 1 picture; expected at least 2", recipe.path);
  const std::int64_t trained = count - held_out(count, recipe.eval_fraction);
  if (trained < 1) {
    fail(ErrorCode::kUsage, "data.eval_fraction: {} of the {} pictures in {} leaves none to train on; expected less",
         recipe.eval_fraction, count, recipe.path);
  }
  return std::make_unique<MnistDataset>(*std::move(only), trained, augment, seed);
}

}  // namespace convoy

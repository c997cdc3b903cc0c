#include "core/data/images.h"

#include <array>
#include <filesystem>
#include <limits>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/augment.h"
#include "core/data/image_folder.h"
#include "core/data/picture_file.h"
#include "core/data/resize.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kCheckedAtOpening = 4096;  // files
constexpr std::int64_t kHashedFiles = 512;
constexpr std::size_t kHeaderBytes = 64 << 10;  // what a JPEG's header fits in, unless a preview lies before it
constexpr std::array<double, 3> kMeans{0.485, 0.456, 0.406};
constexpr std::array<double, 3> kDeviations{0.229, 0.224, 0.225};

PictureSize size_of_file(const std::string& path, std::vector<std::uint8_t>& bytes) {
  read_bytes(path, kHeaderBytes, bytes);
  if (bytes.size() == kHeaderBytes) {
    try {
      return picture_size(bytes, path);
    } catch (const Error&) {  // a longer header
      read_bytes(path, std::numeric_limits<std::size_t>::max(), bytes);
    }
  }
  return picture_size(bytes, path);
}

class ImagesDataset final : public Dataset {
 public:
  ImagesDataset(const DataRecipe& recipe, std::uint64_t seed)
      : folder_(recipe), augment_(augment_from(recipe.augment)), seed_(seed), normalization_(kMeans, kDeviations) {
    std::vector<std::uint8_t> bytes;
    first_ = folder_.path(Split::kTrain, 0);
    first_size_ = size_of_file(first_, bytes);
    resizes_ = recipe.image_size > 0;
    size_ = resizes_ ? PictureSize{recipe.image_size, recipe.image_size} : first_size_;
    if (size(Split::kTrain) + size(Split::kEval) > kCheckedAtOpening) return;
    for (const Split split : {Split::kTrain, Split::kEval}) {
      for (std::int64_t i = 0; i < size(split); ++i) {
        const std::string path = folder_.path(split, i);
        check_size(size_of_file(path, bytes), path);
      }
    }
  }

  std::int64_t size(Split split) const override { return folder_.size(split); }
  SampleSpec input_spec() const override { return {DType::kF32, {size_.height, size_.width, 3}}; }
  SampleSpec target_spec() const override { return {DType::kI32, {}}; }
  std::int64_t classes() const override { return folder_.classes(); }
  std::int64_t tokens_per_sample() const override { return 0; }

  // The names and sizes of all files, and the bytes of 512 of them, spread evenly: to read them all would take hours
  // where there are many. A changed picture that kept its size may go unseen.
  std::string digest() const override {
    Xxh3Hasher128 hasher;
    std::vector<std::uint8_t> bytes;
    const std::int64_t all = size(Split::kTrain) + size(Split::kEval);
    std::int64_t number = 0;
    std::int64_t hashed = 0;
    for (const Split split : {Split::kTrain, Split::kEval}) {
      for (std::int64_t i = 0; i < size(split); ++i, ++number) {
        std::error_code error;
        const std::uintmax_t file_bytes = fs::file_size(folder_.path(split, i), error);
        if (error) fail(ErrorCode::kUsage, "{}: cannot read: {}", folder_.path(split, i), error.message());
        const std::string line = fmt::format("{} {}\n", folder_.name(split, i), file_bytes);
        hasher.update(std::as_bytes(std::span(line)));
        if (number * kHashedFiles < hashed * all) continue;  // number < hashed · all / kHashedFiles
        ++hashed;
        read_bytes(folder_.path(split, i), std::numeric_limits<std::size_t>::max(), bytes);
        hasher.update(std::as_bytes(std::span(bytes)));
      }
    }
    return hasher.hex();
  }

 private:
  // What decoding needs, kept from one picture to the next.
  struct Buffers {
    std::vector<std::uint8_t> bytes, pixels;
    ResizeBuffers resize;
  };

  void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const override {
    std::unique_ptr<Buffers> buffers = take_buffers();
    auto* out = static_cast<float*>(input);
    const std::string path = folder_.path(split, sample.number);
    read_bytes(path, std::numeric_limits<std::size_t>::max(), buffers->bytes);
    const Augment augment = split == Split::kTrain ? augment_ : Augment::kNone;
    const SampleDraws draws(seed_, sample);
    if (augment == Augment::kCrop || augment == Augment::kCropFlip) {
      write_part(path, *buffers, &draws, out);
      if (augment == Augment::kCropFlip && flips(draws)) mirror(out, size_.height, size_.width, 3);
    } else {
      write_part(path, *buffers, nullptr, out);
    }
    *target = folder_.class_of(split, sample.number);
    return_buffers(std::move(buffers));
  }

  // Part of the picture in buffers.bytes, at the size of a sample: a random one by `draws`, or the centred one.
  void write_part(const std::string& path, Buffers& buffers, const SampleDraws* draws, float* out) const {
    const PictureSize whole = picture_size(buffers.bytes, path);
    check_size(whole, path);
    Box box = draws != nullptr ? random_box(whole.height, whole.width, size_.height, size_.width, *draws)
                               : centred_box(whole.height, whole.width, size_.height, size_.width);
    // The least whole picture whose part still has a pixel for each one of the sample.
    const auto least = [](std::int64_t out_size, double part, std::int64_t in_size) {
      return static_cast<std::int64_t>(static_cast<double>(out_size) / part * static_cast<double>(in_size)) + 1;
    };
    const PictureView picture = decode_picture(
        buffers.bytes, path,
        {.height = least(size_.height, box.height, whole.height), .width = least(size_.width, box.width, whole.width)},
        buffers.pixels);
    const double down = static_cast<double>(picture.height) / static_cast<double>(whole.height);
    const double right = static_cast<double>(picture.width) / static_cast<double>(whole.width);
    box = {.top = box.top * down, .left = box.left * right, .height = box.height * down, .width = box.width * right};
    if (draws == nullptr && picture.height == size_.height && picture.width == size_.width)
      return normalization_.apply(picture, out);
    resize(picture, box, size_.height, size_.width, normalization_, buffers.resize, out);
  }

  void check_size(PictureSize size, const std::string& path) const {
    if (resizes_ || size == first_size_) return;
    fail(ErrorCode::kUsage,
         "{}: has {} x {} pixels, but {} has {} x {}; expected one size, or data.image_size to bring them to", path,
         size.width, size.height, first_, first_size_.width, first_size_.height);
  }

  std::unique_ptr<Buffers> take_buffers() const {
    const std::lock_guard lock(mutex_);
    if (buffers_.empty()) return std::make_unique<Buffers>();
    std::unique_ptr<Buffers> buffers = std::move(buffers_.back());
    buffers_.pop_back();
    return buffers;
  }
  void return_buffers(std::unique_ptr<Buffers> buffers) const {
    const std::lock_guard lock(mutex_);
    buffers_.push_back(std::move(buffers));
  }

  ImageFolder folder_;
  Augment augment_;
  std::uint64_t seed_;
  Normalization normalization_;
  bool resizes_ = false;
  std::string first_;  // the picture that decides the size where none is asked for
  PictureSize first_size_;
  PictureSize size_;  // of a sample
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Buffers>> buffers_;
};

}  // namespace

std::unique_ptr<Dataset> open_images(const DataRecipe& recipe, std::uint64_t seed) {
  return std::make_unique<ImagesDataset>(recipe, seed);
}

}  // namespace convoy

#include "core/data/dataset.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/cifar.h"
#include "core/data/images.h"
#include "core/data/mnist.h"
#include "core/data/text.h"
#include "core/data/tokens.h"

namespace convoy {
namespace {

Spec batched(const SampleSpec& sample, std::int64_t samples, Device* device) {
  Shape shape{samples};
  for (const std::int64_t extent : sample.shape) shape.append(extent);
  return {sample.dtype, shape, device};
}

void check_fits(std::string_view side, const SampleSpec& sample, std::int64_t samples, const Tensor& tensor) {
  const Spec expected = batched(sample, samples, &tensor.device());
  if (tensor.spec() != expected || !tensor.is_contiguous()) {
    fail(ErrorCode::kInvalidArgument, "batch: {} are {}{}; expected contiguous {}", side, tensor.spec().to_string(),
         tensor.is_contiguous() ? "" : ", not contiguous", expected.to_string());
  }
}

}  // namespace

void Dataset::read(Split split, std::span<const SampleId> samples, const Batch& into) const {
  const auto count = static_cast<std::int64_t>(samples.size());
  check_fits("inputs", input_spec(), count, into.inputs);
  check_fits("targets", target_spec(), count, into.targets);
  const std::size_t input_bytes = batched(input_spec(), 1, nullptr).bytes();
  const auto target_elements = target_spec().shape.elements();
  auto* input = static_cast<std::byte*>(into.inputs.raw());
  auto* target = into.targets.data<std::int32_t>();
  for (const SampleId sample : samples) {
    if (sample.number == -1) {
      std::memset(input, 0, input_bytes);
      std::fill_n(target, target_elements, -1);
    } else if (sample.number >= 0 && sample.number < size(split)) {
      read_sample(split, sample, input, target);
    } else {
      fail(ErrorCode::kInvalidArgument, "sample {} of a split of {}", sample.number, size(split));
    }
    input += input_bytes;
    target += target_elements;
  }
}

std::string Dataset::digest() const {
  Xxh3Hasher128 hasher;
  std::vector<std::byte> input(batched(input_spec(), 1, nullptr).bytes());
  std::vector<std::int32_t> target(static_cast<std::size_t>(target_spec().shape.elements()));
  for (const Split split : {Split::kTrain, Split::kEval}) {
    for (std::int64_t i = 0; i < size(split); ++i) {
      read_sample(split, {.number = i, .epoch = 0}, input.data(), target.data());
      hasher.update(input);
      hasher.update(std::as_bytes(std::span(target)));
    }
  }
  return hasher.hex();
}

Specs batch_specs(const Dataset& dataset, std::int64_t samples, Device& device) {
  return {batched(dataset.input_spec(), samples, &device), batched(dataset.target_spec(), samples, &device)};
}

Batch make_batch(const Dataset& dataset, std::int64_t samples, Device& device) {
  const Specs specs = batch_specs(dataset, samples, device);
  return {Tensor::empty(specs[0]), Tensor::empty(specs[1])};
}

std::unique_ptr<Dataset> open_dataset(const DataRecipe& recipe, std::uint64_t seed) {
  if (recipe.kind == "text") return open_text(recipe);
  if (recipe.kind == "mnist") return open_mnist(recipe, seed);
  if (recipe.kind == "cifar") return open_cifar(recipe, seed);
  if (recipe.kind == "images") return open_images(recipe, seed);
  if (recipe.kind == "tokens") return open_tokens(recipe);
  fail(ErrorCode::kUsage, "data.kind: there is no data set \"{}\"", recipe.kind);
}

}  // namespace convoy

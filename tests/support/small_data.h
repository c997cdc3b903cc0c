// Data that tests write themselves: small, and the same on every machine.
#pragma once

#include <cstdint>
#include <filesystem>

namespace convoy::testing_support {

// English-like text of `bytes` bytes.
void write_text(const std::filesystem::path& file, std::int64_t bytes);

// An IDX pair in `folder` as MNIST publishes its test set: 28×28 images of ten classes a small network can tell apart.
void write_digits(const std::filesystem::path& folder, std::int32_t count);

// CIFAR-10's binary files in `folder`: `count` pictures to train on, a fifth of that held out, of ten classes as above.
void write_cifar10(const std::filesystem::path& folder, std::int32_t count);

}  // namespace convoy::testing_support

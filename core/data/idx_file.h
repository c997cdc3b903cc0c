// The IDX format of the MNIST files: a magic number that gives element type and rank, big-endian extents, elements.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace convoy {

struct IdxFile {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> elements;
};

// Reads a file of unsigned bytes of the given rank, gzipped or not. Throws Error(kUsage) that names the file: not
// readable, wrong magic, cut short, or longer than its header says.
IdxFile read_idx(const std::string& path, int rank);

}  // namespace convoy

// manifest.json: what a checkpoint is of and which bytes it is made of. It is written last and holds a hash of itself,
// so that a checkpoint is known to be whole, bit for bit, before anything of it is used.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/ballot.h"
#include "core/io/safetensors.h"

namespace convoy::worker {

inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kRecipeFile[] = "recipe.toml";

struct Manifest {
  std::int64_t step = 0;  // steps applied
  Ballot ballot;          // of the membership that wrote it
  std::int32_t world = 0;
  double loss = 0.0;       // of `step`
  bool evaluated = false;  // whether an evaluation that is due after `step` has been made
  std::string parameters_hash;
  std::string state_hash;
  std::string data_digest;                                 // Dataset::digest()
  std::string build;                                       // of the program that wrote it
  std::vector<std::pair<std::string, WrittenFile>> files;  // by name, as it lies beside the manifest
};

// Bytes and XXH3-128 of `contents`, as they stand in a manifest.
WrittenFile describe(std::string_view contents);

std::string to_json(const Manifest& manifest);

// Throws Error(kDataLoss) naming the file and what is wrong with it: missing, not a manifest, of another schema, or
// not the bytes that were written.
Manifest read_manifest(const std::string& checkpoint);

// Throws Error(kDataLoss) naming the file at `path` unless what was found there is what was written.
void check_contents(const std::string& path, const WrittenFile& found, const WrittenFile& written);

// Throws Error(kDataLoss) naming the file unless it is, byte for byte, what the manifest describes.
void verify_file(const std::string& checkpoint, const Manifest& manifest, const std::string& name);
void verify_files(const std::string& checkpoint, const Manifest& manifest);

}  // namespace convoy::worker

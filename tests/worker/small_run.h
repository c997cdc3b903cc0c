// A small recipe with its data, for tests of the worker room.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>

#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "core/device/cpu_device.h"
#include "tests/support/small_data.h"
#include "worker/batches.h"
#include "worker/replica.h"
#include "worker/workload.h"

namespace convoy::worker {

// Files live in a folder of their own, which goes with the object.
class SmallRun {
 public:
  explicit SmallRun(const std::string& kind) : folder_(make_folder()) {
    recipe.data.kind = kind;
    recipe.train.global_batch = 8;
    recipe.train.logical_shards = 4;
    recipe.train.steps = 3;
    recipe.train.seed = 11;
    recipe.optimizer.kind = "adamw";
    recipe.optimizer.lr = 1e-3;
    recipe.optimizer.schedule = "constant";
    if (kind == "text") {
      testing_support::write_text(folder_ / "text.txt", 3000);
      recipe.data.path = folder_ / "text.txt";
      recipe.data.context = 16;
      recipe.data.tokenizer = "bytes";
      recipe.model.kind = "gpt";
      recipe.model.activation = "gelu";
      recipe.model.kv_heads = 2;
      recipe.model.mlp_width = 64;
      recipe.model.layers = 1;
      recipe.model.heads = 2;
      recipe.model.width = 16;
    } else {
      testing_support::write_digits(folder_ / "digits", 101);
      recipe.data.path = folder_ / "digits";
      recipe.model.kind = "mlp";
      recipe.model.hidden = {16};
      recipe.model.activation = "relu";
    }
    dataset = open_dataset(recipe.data);
    device = std::make_unique<CpuDevice>();
  }
  ~SmallRun() { std::filesystem::remove_all(folder_); }
  SmallRun(const SmallRun&) = delete;
  SmallRun& operator=(const SmallRun&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::unique_ptr<Replica> replica() const {
    return std::make_unique<Replica>(recipe, make_model(recipe.model, task_of(*dataset, recipe)), *device);
  }
  Batches batches() const { return Batches(*dataset, recipe.train, *device); }

  Recipe recipe;
  std::unique_ptr<Dataset> dataset;
  std::unique_ptr<CpuDevice> device;

 private:
  static std::filesystem::path make_folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "convoy-worker-XXXXXX";
    return mkdtemp(pattern.data());
  }

  std::filesystem::path folder_;
};

}  // namespace convoy::worker

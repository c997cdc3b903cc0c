// A recipe: everything that decides what a run computes. Read from TOML, checked against one schema
// (core/base/recipe_schema.cpp), written back whole with every default. The initialisers below are the defaults; keys
// that a chosen kind does not own keep them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/recipe_value.h"

namespace convoy {

// The kind of a [model] or [data] that is a program's own.
inline constexpr char kCustomKind[] = "custom";

// A key that such a program keeps in one of them.
struct OwnKey {
  std::string section;  // "model" | "data"
  std::string name;
  RecipeValue value;
  bool operator==(const OwnKey&) const = default;
};

struct ModelRecipe {
  std::string kind;  // "gpt" | "mlp" | "resnet"
  // gpt
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;          // 0, only before it is read: as many as heads
  std::int64_t width = 64;            // resnet: of the first stage, in channels
  std::int64_t mlp_width = 0;         // 0, only before it is read: default_mlp_width()
  std::string norm = "layer";         // "layer" | "rms"
  std::string positions = "learned";  // "learned" | "rotary"
  double rope_theta = 10000.0;        // of rotary positions
  std::string head = "tied";          // "tied" to the token embedding | "own"
  bool bias = true;                   // of linear layers
  double dropout = 0.0;
  // mlp
  std::vector<std::int64_t> hidden;
  std::string activation;  // gpt: "gelu" (default) | "swiglu"; mlp: "relu" (default) | "gelu"
  // resnet
  std::string stem = "auto";   // "auto" | "small" | "imagenet"
  double residual_gain = 0.0;  // what the last normalisation of each block starts at
  bool operator==(const ModelRecipe&) const = default;
};

// The width of a gpt's feed-forward layers where the recipe says none: 4·width; with three matrices (swiglu) 8/3·width,
// rounded up to a multiple of 64, so that there are about as many parameters.
std::int64_t default_mlp_width(const ModelRecipe& model);

struct DataRecipe {
  std::string kind;  // "text" | "tokens" | "mnist" | "cifar" | "images"
  std::string path;  // absolute once resolved
  double eval_fraction = 0.1;
  std::int64_t threads = 0;   // that read ahead; 0: samples are read where they are needed. "images": 1
  std::int64_t prefetch = 8;  // batches of a logical shard read ahead at most
  // text, tokens
  std::int64_t context = 0;  // tokens a sample
  std::string tokenizer = "bytes";
  std::int64_t vocabulary = 0;  // 0: what the files' headers say
  // mnist, cifar, images
  std::string augment = "none";  // "none" | "crop" | "crop-flip" | "affine"
  std::int64_t image_size = 0;   // pixels each way; 0: as the files have it
  bool operator==(const DataRecipe&) const = default;
};

struct OptimizerRecipe {
  std::string kind;  // "adamw" | "sgd" | "lamb"
  double lr = 0.0;
  // adamw, lamb
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  // sgd
  double momentum = 0.9;
  bool nesterov = false;
  // all
  double weight_decay = 0.0;
  double clip_norm = 0.0;             // 0: no clipping
  std::string schedule = "constant";  // "constant" | "linear" | "cosine" | "step", after a linear warm-up
  std::int64_t warmup_steps = 0;
  double final_lr_fraction = 0.1;        // lr at the last step of a linear or cosine schedule, as a fraction of lr
  double gamma = 0.1;                    // a step schedule's factor, after every step_every steps or each milestone
  std::int64_t step_every = 0;           // steps, from the first; 0: there are milestones
  std::vector<std::int64_t> milestones;  // steps after which the rate falls, ascending
  bool operator==(const OptimizerRecipe&) const = default;
};

struct TrainRecipe {
  std::int64_t steps = 0;
  std::int64_t global_batch = 0;  // samples a step
  std::int64_t logical_shards = 8;
  std::string precision = "fp32";  // "fp32" | "bf16": of activations; parameters and their gradients are fp32
  std::uint64_t seed = 0;
  std::string graph = "static";       // "static": captured once, then replayed | "dynamic": run line by line
  std::string recompute = "none";     // "none" | "blocks": their inner values are computed again, not kept
  std::string device = "auto";        // "auto" | "cpu"
  std::int64_t threads = 1;           // per worker
  std::int64_t eval_every = 0;        // steps; 0: at the end only
  std::string on_nonfinite = "stop";  // "stop" | "skip"
  std::int64_t histogram_every = 0;   // steps between TensorBoard's histograms; 0: none
  std::int64_t sample_tokens = 64;    // that a language model writes at each evaluation, for TensorBoard
  bool operator==(const TrainRecipe&) const = default;
};

struct SyncRecipe {
  std::string mode = "allreduce";
  std::string engine = "auto";  // "auto" | "local" | "mpi"
  std::string order = "fixed";
  double bucket_mib = 4.0;
  bool operator==(const SyncRecipe&) const = default;
};

struct CheckpointRecipe {
  std::int64_t every = 0;  // steps; 0: after the last step only
  std::int64_t keep = 2;   // newest ones
  bool operator==(const CheckpointRecipe&) const = default;
};

struct FaultRecipe {
  double heartbeat_s = 1.0;  // interval between heartbeats
  double suspect_s = 5.0;    // silence after which a worker is suspected
  double hang_s = 30.0;      // longest time without progress
  bool operator==(const FaultRecipe&) const = default;
};

// Where the values come from, for messages about them; not part of a recipe's value.
struct RecipeOrigin {
  std::map<std::string, std::string> places;  // "data.path" → "gpt.toml:8: data.path"
  bool operator==(const RecipeOrigin&) const { return true; }
};

struct Recipe {
  ModelRecipe model;
  DataRecipe data;
  OptimizerRecipe optimizer;
  TrainRecipe train;
  SyncRecipe sync;
  CheckpointRecipe checkpoint;
  FaultRecipe fault;
  std::vector<OwnKey> own;  // what stands in sections of kind "custom", beside their kind
  RecipeOrigin origin;
  bool operator==(const Recipe&) const = default;

  // What a message about `key` begins with: file, line and key, or the command line; the key alone for a default.
  std::string where(const std::string& key) const;

  // A program's own key by its full name ("model.width"). number() takes an integer as well. Throws
  // Error(kInvalidArgument) for a key that the program's recipe does not have, or has in another type.
  bool flag(const std::string& key) const;
  std::int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;
  const std::string& text(const std::string& key) const;
  const std::vector<std::int64_t>& integers(const std::string& key) const;
};

// What a program built on the library brings along: a whole recipe. Its values are where every run of the program
// starts; the keys in sections of the program's own exist by standing there, and take their types from their values.
struct ProgramRecipe {
  std::string name;  // of the program, for messages
  std::string text;  // TOML; empty: there is none
  bool own_model = false;
  bool own_data = false;

  // What its user types to go on with a run of it.
  std::string command() const { return name.empty() ? "convoy" : name; }
};

// Reads `path` on top of what `program` brings (without a path: that alone), applies `overrides` ("train.steps=50";
// values as TOML, bare words allowed for strings), fills in defaults and checks everything that can be checked without
// the data. A relative data.path, a program's own too, is taken relative to the recipe's folder; one given on the
// command line, or by the program, to the working directory. Throws Error(kUsage) with one line: file, line, key, what
// was expected, and the nearest right key for an unknown one.
Recipe load_recipe(const std::string& path, std::span<const std::string> overrides, const ProgramRecipe& program = {});

// The whole recipe as TOML that load_recipe reads back to the same value.
std::string to_toml(const Recipe& recipe);

// Without what names places on this machine (data.path): then it is the same for every worker of a run.
Recipe without_places(Recipe recipe);

}  // namespace convoy

// One worker's copy of the model: its parameters and optimizer state, laid out in buckets, and the two halves of a
// step: a shard's gradient, which writes nothing, and the update, which writes everything.
//
// Both are functions made of operators (core/graph/step_function.h). With train.graph = "static" each is captured once
// and its plan replayed; with "dynamic" they run line by line, with the same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "core/device/cpu_device.h"
#include "core/graph/passes/pass.h"
#include "core/graph/plan_cache.h"
#include "core/graph/step_key.h"
#include "core/nn/batch_norm.h"
#include "core/nn/model.h"
#include "core/nn/optimizer.h"
#include "distributed/buckets.h"
#include "distributed/gradient_reducer.h"

namespace convoy::worker {

// A part of the state: where a checkpoint keeps it, and the memory itself.
struct StateTensor {
  std::string file;           // kParametersFile or kOptimizerFile
  std::string name;           // in that file: "h.0.ln_1.weight", "m.h.0.ln_1.weight"
  Tensor tensor;              // f32, of the parameter's shape, contiguous
  bool is_parameter = false;  // trained: of those parameters_hash() is
};

inline constexpr char kParametersFile[] = "parameters.safetensors";  // parameters, running statistics
inline constexpr char kOptimizerFile[] = "optimizer.safetensors";    // moments

struct ReplicaOptions {
  // That its state, so many arrays of gradients and the values of a step may take: what needs more is refused before
  // any is taken, with Error(kUnavailable).
  std::size_t most_bytes = ~std::size_t{0};
  std::int64_t gradient_arenas = 1;
  // What its state holds to begin with.
  enum class State : std::uint8_t {
    kInitial,   // what a run begins with
    kZero,      // zeros: it will be read from somewhere, or initialize()d
    kUntouched  // nothing, it takes no memory: for replicas that never run
  };
  State state = State::kInitial;
  std::int32_t shards = 2;                 // that it computes in a step: with one, no weight is read twice
  PassList passes = PassList::defaults();  // of captured functions, besides what the recipe asks for
  // Hears of functions that are captured again and again, and of a recipe whose wishes come to nothing.
  std::function<void(const std::string&)> warn{};
  // Sees every function's graph before and after each pass.
  std::function<void(const std::string& function, const Pass& pass, const Graph& before, const Graph& after)> observe{};
};

class Replica {
 public:
  // Binds the model's parameters. Keeps a reference to `device`.
  Replica(const Recipe& recipe, std::unique_ptr<Model> model, CpuDevice& device, const ReplicaOptions& options = {});

  const Model& model() const { return *model_; }
  const distributed::BucketLayout& layout() const { return layout_; }
  CpuDevice& device() const { return device_; }

  // What the model reads of a batch's inputs, inside a recording: numbers in the activations' dtype, tokens as they
  // are.
  Tensor inputs_of(const Tensor& inputs) const;

  // A function whose state are the parameters.
  StepFunction function(std::string name, std::vector<std::string> inputs, StepFunction::Body body) const;
  // Runs a function as train.graph says.
  void run(const StepFunction& function, const StepKey& key, std::span<const Tensor> inputs,
           const StepFunction::OnResult& on_result);
  // Captures what a step does on shards of such a batch and on an arena of reduced gradients, before there are any;
  // nothing where steps are dynamic.
  void capture_step(std::span<const Spec> batch, float* reduced);
  // Gradients of such batches can be made in `arena`, laid out as layout() says, for good: see gradient(). After
  // capture_step(); nothing where steps are dynamic.
  void place_gradients(std::span<const Spec> batch, float* arena);
  // The same for another function on inputs of these specs.
  void capture(const StepFunction& function, std::span<const Spec> inputs);
  // What was captured so far; empty where steps are dynamic.
  const std::list<PlannedFunction>& plans() const { return plans_.plans(); }
  // The name of the function that runs once a shard.
  static constexpr std::string_view kGradient = "gradient";
  // See PlanCache::set_timers().
  void set_timers(PlanCache::TimerOf timer_of) { plans_.set_timers(std::move(timer_of)); }

  // Runs the training step forward and backward on one logical shard and hands each parameter's gradient (unscaled: of
  // the summed loss) over as soon as it is final; for running statistics, what the shard contributes to them. Every
  // parameter is handed over once. `into`: an arena that may be written over. If place_gradients() was told of it, what
  // can be is made in its place there, and handed over where it lies.
  distributed::LossSums gradient(const StepKey& key, const Batch& batch,
                                 const std::function<void(std::size_t, std::span<const float>)>& on_gradient,
                                 const float* into = nullptr);

  // Sum of squares of each chunk of the reduced gradient (an arena of layout().elements() elements).
  std::vector<double> chunk_squares(float* reduced);
  // Applies the optimizer to every bucket of gradients and moves the running statistics; step counts from 1.
  void update(std::int64_t step, float* reduced, const UpdateFactors& factors);

  Tensor parameter(std::size_t index) const { return model_->parameters()[index].value(); }
  // Everything a checkpoint holds besides counters: what the next step depends on. Checkpoints and hashes walk this
  // list and nothing else. File by file, each in its own order.
  std::vector<StateTensor> state() const;

  // Makes the state, whatever it holds, what a run begins with.
  void initialize();

  // Over the parameters in name order, running statistics left out.
  std::string parameters_hash() const;
  // Over state() and the step.
  std::string state_hash(std::int64_t step) const;

 private:
  bool is_statistic(std::size_t parameter) const;
  std::size_t index_of(const Emission& emission) const;
  void give_gradient(std::span<const Tensor> inputs, const StepFunction::Give& give) const;
  std::optional<Reduction> reduction_of(std::size_t result) const;
  void apply_update(const Tensor& factors, const Tensor& apply) const;
  void declare_update(Capture& capture) const;
  void use_reduced(float* reduced);
  Tensor arena_view(const Tensor& arena, std::size_t parameter) const;
  Tensor bucket_view(const Tensor& arena, const distributed::Bucket& bucket) const;
  ParameterSlice slice_of(const distributed::Bucket& bucket) const;

  std::unique_ptr<Optimizer> optimizer_;
  std::uint64_t seed_;
  DType activations_;
  CpuDevice& device_;
  std::unique_ptr<Model> model_;
  distributed::BucketLayout layout_;
  Tensor parameters_;                      // arenas: f32 [layout_.elements()]
  std::vector<Tensor> moments_;            // arenas, as optimizer_->moments() names them
  std::vector<Tensor> leaves_;             // what has a gradient, in declaration order
  std::vector<std::size_t> leaf_indices_;  // and which parameters those are
  std::vector<RunningStatistics> statistics_;
  Tensor reduced_;                       // the arena of reduced gradients that the update reads
  std::int64_t reduced_arenas_ = 0;      // that there were so far
  std::vector<ParameterSlice> slices_;   // of each bucket that is trained
  std::vector<Tensor> statistics_sums_;  // reduced, by parameter; undefined for what is trained
  StepFunction gradient_, squares_, update_;
  bool is_static_;
  PlanCache plans_;
  const float* placed_in_ = nullptr;  // the arena of place_gradients()
  std::vector<bool> handed_over_;     // scratch of gradient(), by parameter
  std::vector<float> zeros_;          // the gradient of a parameter that a step does not use
};

}  // namespace convoy::worker

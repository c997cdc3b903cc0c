#include "worker/replica.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/graph/recorder.h"
#include "core/ops/update.h"
#include "core/tensor/derived_forms.h"
#include "worker/memory_share.h"

namespace convoy::worker {
namespace {

static_assert(kSquareChunk == distributed::kChunkElements, "norms are summed over the grid that parameters start on");

// Groups of buckets.
constexpr std::int32_t kDecayGroup = 1;
constexpr std::int32_t kStatisticsGroup = 2;

// Groups that the optimizer treats alike are one: a single bucket may then hold all that is trained.
distributed::BucketLayout layout_of(const Model& model, const Recipe& recipe, const Optimizer& optimizer) {
  std::vector<distributed::ParameterExtent> extents;
  for (const Parameter& parameter : model.parameters()) {
    const bool decays = optimizer.tells_groups_apart() && parameter.group() == ParameterGroup::kDecay;
    const bool is_statistic = parameter.group() == ParameterGroup::kStatistics;
    extents.push_back({.name = parameter.name(),
                       .elements = parameter.elements(),
                       .group = is_statistic ? kStatisticsGroup
                                : decays     ? kDecayGroup
                                             : 0,
                       .is_gradient = !is_statistic});
  }
  return {std::move(extents), static_cast<std::int64_t>(recipe.sync.bucket_mib * 1024.0 * 1024.0)};
}

void hash_tensor(Xxh3Hasher128& hasher, const Tensor& tensor) {
  hasher.update(std::as_bytes(std::span(tensor.data<float>(), static_cast<std::size_t>(tensor.elements()))));
}

bool names_blocks(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return node.block != kNoBlock; });
}

PlanCache::Options plan_options(const Recipe& recipe, const ReplicaOptions& options, std::size_t most_bytes) {
  PassList passes = options.passes;
  const bool recomputes = recipe.train.recompute == "blocks";
  if (recomputes) passes.add(kRecompute);
  const auto optimise_function = [passes, recomputes, warn = options.warn, observe = options.observe](
                                     const StepFunction& function, Graph graph) {
    if (recomputes && warn && function.name == Replica::kGradient && !names_blocks(graph))
      warn("train.recompute = \"blocks\": the model names no blocks (BlockScope), so nothing is recomputed");
    PassObserver observer;
    if (observe) {
      observer = [&](const Pass& pass, const Graph& before, const Graph& after) {
        observe(function.name, pass, before, after);
      };
    }
    return optimise(std::move(graph), passes, observer);
  };
  return {.plan = {.in_place = passes.contains(kInPlace), .most_bytes = most_bytes},
          .optimise = optimise_function,
          .warn = options.warn};
}

}  // namespace

Replica::Replica(const Recipe& recipe, std::unique_ptr<Model> model, CpuDevice& device, const ReplicaOptions& options)
    : optimizer_(make_optimizer(recipe.optimizer)),
      seed_(recipe.train.seed),
      activations_(activation_dtype(recipe.train)),
      device_(device),
      model_(std::move(model)),
      layout_(layout_of(*model_, recipe, *optimizer_)),
      statistics_(running_statistics_of(model_->parameters())),
      gradient_(function(
          std::string(kGradient), {"inputs", "targets"},
          [this](std::span<const Tensor> inputs, const StepFunction::Give& give) { give_gradient(inputs, give); })),
      squares_{.name = "chunk_squares",
               .inputs = {},
               .declare = [this](Capture& capture) { capture.state("reduced", reduced_); },
               .body = [this](std::span<const Tensor>,
                              const StepFunction::Give& give) { give(0, "squares", convoy::chunk_squares(reduced_)); }},
      update_{.name = "update",
              .inputs = {"factors", "apply"},
              .declare = [this](Capture& capture) { declare_update(capture); },
              .body = [this](std::span<const Tensor> inputs,
                             const StepFunction::Give&) { apply_update(inputs[0], inputs[1]); },
              .updates = true},
      is_static_(recipe.train.graph == "static"),
      plans_(device, plan_options(recipe, options,
                                  room_beside_state(layout_.elements(), optimizer_->moments().size(),
                                                    options.gradient_arenas, options.most_bytes))) {
  gradient_.reduction = [this](std::size_t result) { return reduction_of(result); };
  const Spec arena{DType::kF32, {layout_.elements()}, &device_};
  const bool touched = options.state != ReplicaOptions::State::kUntouched;
  const auto make = [&] { return touched ? Tensor::zeros(arena) : Tensor::empty(arena); };
  parameters_ = make();
  for (std::size_t k = 0; k < optimizer_->moments().size(); ++k) moments_.push_back(make());
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const Parameter& parameter = model_->parameters()[i];
    parameter.bind(arena_view(parameters_, i));
    if (options.state == ReplicaOptions::State::kInitial) parameter.initialize(seed_);
    if (is_statistic(i)) continue;
    leaves_.push_back(parameter.value());
    leaf_indices_.push_back(i);
  }
  if (DerivedForms* const forms = parameters_.derived_forms(); forms != nullptr && options.shards == 1)
    forms->keep_none();
}

void Replica::initialize() {
  for (const Parameter& parameter : model_->parameters()) parameter.initialize(seed_);
  for (const Tensor& moments : moments_) {
    std::fill_n(moments.data<float>(), moments.elements(), 0.0f);
    moments.written();
  }
}

bool Replica::is_statistic(std::size_t parameter) const { return !layout_.parameters()[parameter].is_gradient; }

Tensor Replica::arena_view(const Tensor& arena, std::size_t parameter) const {
  Layout layout = Layout::contiguous(model_->parameters()[parameter].shape());
  layout.offset = layout_.offset(parameter);
  return arena.view(layout);
}

Tensor Replica::bucket_view(const Tensor& arena, const distributed::Bucket& bucket) const {
  Layout layout = Layout::contiguous({bucket.elements()});
  layout.offset = bucket.begin;
  return arena.view(layout);
}

std::vector<StateTensor> Replica::state() const {
  std::vector<StateTensor> state;
  const Parameters& parameters = model_->parameters();
  for (const std::size_t i : layout_.by_name())
    state.push_back({kParametersFile, parameters[i].name(), parameter(i), !is_statistic(i)});
  for (std::size_t k = 0; k < moments_.size(); ++k) {
    for (const std::size_t i : layout_.by_name()) {
      if (is_statistic(i)) continue;
      state.push_back({kOptimizerFile, fmt::format("{}.{}", optimizer_->moments()[k], parameters[i].name()),
                       arena_view(moments_[k], i)});
    }
  }
  return state;
}

void Replica::use_reduced(float* reduced) {
  if (reduced_.defined() && reduced_.raw() == reduced) return;
  reduced_ = Tensor::borrow({DType::kF32, {layout_.elements()}, &device_}, reduced, nullptr);
  slices_.clear();
  for (const distributed::Bucket& bucket : layout_.buckets()) {
    if (bucket.group != kStatisticsGroup) slices_.push_back(slice_of(bucket));
  }
  statistics_sums_.assign(layout_.parameters().size(), Tensor());
  for (std::size_t i = 0; i < statistics_sums_.size(); ++i) {
    if (is_statistic(i)) statistics_sums_[i] = arena_view(reduced_, i);
  }
  // Plans read the arena that they were made for.
  update_.attributes = squares_.attributes = fmt::format("arena {}", ++reduced_arenas_);
}

ParameterSlice Replica::slice_of(const distributed::Bucket& bucket) const {
  ParameterSlice slice{.values = bucket_view(parameters_, bucket),
                       .gradient = bucket_view(reduced_, bucket),
                       .moments = {},
                       .parameters = {},
                       .decays = bucket.group == kDecayGroup};
  for (const Tensor& moment : moments_) slice.moments.push_back(bucket_view(moment, bucket));
  for (const std::size_t i : bucket.parameters) {
    const std::int64_t begin = layout_.offset(i) - bucket.begin;
    slice.parameters.push_back({.begin = begin, .end = begin + layout_.parameters()[i].elements});
  }
  return slice;
}

std::size_t Replica::index_of(const Emission& emission) const {
  for (std::size_t i = 0; i < layout_.parameters().size(); ++i) {
    if (is_statistic(i) && parameter(i).identity() == emission.state.identity()) return i;
  }
  fail(ErrorCode::kInvalidArgument,
       "{}:{}: a contribution of {} was emitted for what is no running statistic of the model",
       emission.where.file_name(), emission.where.line(), emission.state.spec().to_string());
}

std::string Replica::parameters_hash() const {
  Xxh3Hasher128 hasher;
  for (const std::size_t i : layout_.by_name()) {
    if (!is_statistic(i)) hash_tensor(hasher, parameter(i));
  }
  return hasher.hex();
}

std::string Replica::state_hash(std::int64_t step) const {
  Xxh3Hasher128 hasher;
  for (const StateTensor& part : state()) hash_tensor(hasher, part.tensor);
  hasher.update(std::as_bytes(std::span(&step, 1)));
  return hasher.hex();
}

}  // namespace convoy::worker

#include "core/base/recipe_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

namespace convoy {
namespace {

// How a field is kept in a RecipeValue: unsigned integers travel as signed ones, which TOML has.
template <auto Section, auto Field>
RecipeValue get(const Recipe& recipe) {
  const auto& field = recipe.*Section.*Field;
  using T = std::remove_cvref_t<decltype(field)>;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return static_cast<std::int64_t>(field);
  } else {
    return field;
  }
}

template <auto Section, auto Field>
void set(Recipe& recipe, const RecipeValue& value) {
  auto& field = recipe.*Section.*Field;
  using T = std::remove_reference_t<decltype(field)>;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    field = static_cast<T>(std::get<std::int64_t>(value));
  } else {
    field = std::get<T>(value);
  }
}

using Kinds = std::vector<std::string_view>;

bool contains(const Kinds& kinds, std::string_view kind) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

template <auto Section, auto Field>
RecipeKey row(std::string_view section, std::string_view name, Kinds kinds, bool required, RecipeDomain domain) {
  return {std::string(section), std::string(name),    std::move(kinds),    required,
          std::move(domain),    &get<Section, Field>, &set<Section, Field>};
}

template <auto Field>
RecipeKey model(std::string_view name, Kinds kinds, bool required, RecipeDomain domain) {
  return row<&Recipe::model, Field>("model", name, std::move(kinds), required, std::move(domain));
}
template <auto Field>
RecipeKey data(std::string_view name, Kinds kinds, bool required, RecipeDomain domain) {
  return row<&Recipe::data, Field>("data", name, std::move(kinds), required, std::move(domain));
}
template <auto Field>
RecipeKey optimizer(std::string_view name, Kinds kinds, bool required, RecipeDomain domain) {
  return row<&Recipe::optimizer, Field>("optimizer", name, std::move(kinds), required, std::move(domain));
}
template <auto Field>
RecipeKey train(std::string_view name, bool required, RecipeDomain domain) {
  return row<&Recipe::train, Field>("train", name, {}, required, std::move(domain));
}
template <auto Field>
RecipeKey sync(std::string_view name, RecipeDomain domain) {
  return row<&Recipe::sync, Field>("sync", name, {}, false, std::move(domain));
}
template <auto Field>
RecipeKey checkpoint(std::string_view name, RecipeDomain domain) {
  return row<&Recipe::checkpoint, Field>("checkpoint", name, {}, false, std::move(domain));
}
template <auto Field>
RecipeKey fault(std::string_view name, RecipeDomain domain) {
  return row<&Recipe::fault, Field>("fault", name, {}, false, std::move(domain));
}

constexpr bool kRequired = true;
constexpr bool kOptional = false;
const Real kPositive{.low_allowed = false};
const Real kNotNegative{};
const Real kFraction{.high = 1};
const Real kBelowOne{.high = 1, .high_allowed = false};
const Real kInsideOne{.high = 1, .low_allowed = false, .high_allowed = false};

// A required key that these kinds may leave out.
RecipeKey with_default(RecipeKey key, Kinds kinds) {
  key.defaulted_by = std::move(kinds);
  return key;
}

std::vector<RecipeKey> make_keys() {
  using M = ModelRecipe;
  using D = DataRecipe;
  using O = OptimizerRecipe;
  using T = TrainRecipe;
  using S = SyncRecipe;
  using C = CheckpointRecipe;
  using F = FaultRecipe;
  return {
      model<&M::kind>("kind", {}, kRequired, OneOf{{"gpt", "mlp", "resnet"}}),
      model<&M::layers>("layers", {"gpt", "resnet"}, kRequired, Whole{1, 1000}),
      model<&M::heads>("heads", {"gpt"}, kRequired, Whole{1, 1000}),
      model<&M::kv_heads>("kv_heads", {"gpt"}, kOptional, Whole{1, 1000}),
      with_default(model<&M::width>("width", {"gpt", "resnet"}, kRequired, Whole{1, 1'000'000}), {"resnet"}),
      model<&M::mlp_width>("mlp_width", {"gpt"}, kOptional, Whole{1, 10'000'000}),
      model<&M::norm>("norm", {"gpt"}, kOptional, OneOf{{"layer", "rms"}}),
      model<&M::positions>("positions", {"gpt"}, kOptional, OneOf{{"learned", "rotary"}}),
      model<&M::rope_theta>("rope_theta", {"gpt"}, kOptional, kPositive),
      model<&M::head>("head", {"gpt"}, kOptional, OneOf{{"tied", "own"}}),
      model<&M::bias>("bias", {"gpt"}, kOptional, Flag{}),
      model<&M::dropout>("dropout", {"gpt", "mlp"}, kOptional, kBelowOne),
      model<&M::hidden>("hidden", {"mlp"}, kRequired, WholeList{{1, 1'000'000}}),
      model<&M::activation>("activation", {"gpt", "mlp"}, kOptional, OneOf{{"relu", "gelu", "swiglu"}}),
      model<&M::stem>("stem", {"resnet"}, kOptional, OneOf{{"auto", "small", "imagenet"}}),
      model<&M::residual_gain>("residual_gain", {"resnet"}, kOptional, kFraction),

      data<&D::kind>("kind", {}, kRequired, OneOf{{"text", "tokens", "mnist", "cifar", "images"}}),
      data<&D::path>("path", {}, kRequired, Text{}),
      data<&D::eval_fraction>("eval_fraction", {}, kOptional, kInsideOne),
      data<&D::threads>("threads", {}, kOptional, Whole{0, 256}),
      data<&D::prefetch>("prefetch", {}, kOptional, Whole{1, 4096}),
      data<&D::context>("context", {"text", "tokens"}, kRequired, Whole{1, 1'000'000}),
      data<&D::tokenizer>("tokenizer", {"text"}, kOptional, OneOf{{"bytes"}}),
      data<&D::vocabulary>("vocabulary", {"tokens"}, kOptional, Whole{0, 1'000'000'000}),
      data<&D::augment>("augment", {"mnist", "cifar", "images"}, kOptional,
                        OneOf{{"none", "crop", "crop-flip", "affine"}}),
      data<&D::image_size>("image_size", {"images"}, kOptional, Whole{0, 65535}),

      optimizer<&O::kind>("kind", {}, kRequired, OneOf{{"adamw", "sgd", "lamb"}}),
      optimizer<&O::lr>("lr", {}, kRequired, kPositive),
      optimizer<&O::beta1>("beta1", {"adamw", "lamb"}, kOptional, kBelowOne),
      optimizer<&O::beta2>("beta2", {"adamw", "lamb"}, kOptional, kBelowOne),
      optimizer<&O::epsilon>("epsilon", {"adamw", "lamb"}, kOptional, kPositive),
      optimizer<&O::momentum>("momentum", {"sgd"}, kOptional, kBelowOne),
      optimizer<&O::nesterov>("nesterov", {"sgd"}, kOptional, Flag{}),
      optimizer<&O::weight_decay>("weight_decay", {}, kOptional, kNotNegative),
      optimizer<&O::clip_norm>("clip_norm", {}, kOptional, kNotNegative),
      optimizer<&O::schedule>("schedule", {}, kOptional, OneOf{{"constant", "linear", "cosine", "step"}}),
      optimizer<&O::warmup_steps>("warmup_steps", {}, kOptional, Whole{0}),
      optimizer<&O::final_lr_fraction>("final_lr_fraction", {}, kOptional, kFraction),
      optimizer<&O::gamma>("gamma", {}, kOptional, Real{.high = 1, .low_allowed = false}),
      optimizer<&O::step_every>("step_every", {}, kOptional, Whole{0}),
      optimizer<&O::milestones>("milestones", {}, kOptional, WholeList{{1}, true}),

      train<&T::steps>("steps", kRequired, Whole{1}),
      train<&T::global_batch>("global_batch", kRequired, Whole{1, 1'000'000}),
      train<&T::logical_shards>("logical_shards", kOptional, Whole{1, 65536}),
      train<&T::precision>("precision", kOptional, OneOf{{"fp32", "bf16"}}),
      train<&T::seed>("seed", kOptional, Whole{0, std::numeric_limits<std::int64_t>::max()}),
      train<&T::graph>("graph", kOptional, OneOf{{"static", "dynamic"}}),
      train<&T::recompute>("recompute", kOptional, OneOf{{"none", "blocks"}}),
      train<&T::device>("device", kOptional, OneOf{{"auto", "cpu"}}),
      train<&T::threads>("threads", kOptional, Whole{1, 1024}),
      train<&T::eval_every>("eval_every", kOptional, Whole{0}),
      train<&T::on_nonfinite>("on_nonfinite", kOptional, OneOf{{"stop", "skip"}}),
      train<&T::histogram_every>("histogram_every", kOptional, Whole{0}),
      train<&T::sample_tokens>("sample_tokens", kOptional, Whole{0, 10'000}),

      sync<&S::mode>("mode", OneOf{{"allreduce"}}),
      sync<&S::engine>("engine", OneOf{{"auto", "local", "gloo", "mpi"}}),
      sync<&S::order>("order", OneOf{{"fixed"}}),
      sync<&S::bucket_mib>("bucket_mib", Real{.high = 65536, .low_allowed = false}),

      checkpoint<&C::every>("every", Whole{0}),
      checkpoint<&C::keep>("keep", Whole{2, 1'000'000}),

      fault<&F::heartbeat_s>("heartbeat", Real{.high = 3600, .low_allowed = false}),
      fault<&F::suspect_s>("suspect", Real{.high = 86400, .low_allowed = false}),
      fault<&F::hang_s>("hang", Real{.high = 86400, .low_allowed = false}),
  };
}

// What a program's own key accepts: any value of the type it has.
constexpr Whole kAnyWhole{std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
struct DomainOf {
  RecipeDomain operator()(const std::string&) const { return Text{}; }
  RecipeDomain operator()(bool) const { return Flag{}; }
  RecipeDomain operator()(std::int64_t) const { return kAnyWhole; }
  RecipeDomain operator()(double) const { return Real{.low = -std::numeric_limits<double>::infinity()}; }
  RecipeDomain operator()(const std::vector<std::int64_t>&) const { return WholeList{kAnyWhole}; }
};

template <typename R>
auto& find_own(R& recipe, const std::string& section, const std::string& name) {
  return *std::find_if(recipe.own.begin(), recipe.own.end(),
                       [&](const OwnKey& own) { return own.section == section && own.name == name; });
}

RecipeKey own_key(const OwnKey& own) {
  const auto get = [section = own.section, name = own.name](const Recipe& recipe) {
    return find_own(recipe, section, name).value;
  };
  const auto set = [section = own.section, name = own.name](Recipe& recipe, const RecipeValue& value) {
    find_own(recipe, section, name).value = value;
  };
  return {own.section, own.name, {}, false, std::visit(DomainOf{}, own.value), get, set};
}

std::string describe(const Whole& range) {
  if (range.low == kAnyWhole.low) return "";
  if (range.high < Whole{}.high) return fmt::format(" from {} to {}", range.low, range.high);
  return fmt::format(" >= {}", range.low);
}

bool inside(const Whole& range, std::int64_t value) { return value >= range.low && value <= range.high; }

struct Expectation {
  std::string operator()(const OneOf& domain) const {
    if (domain.values.size() == 1) return fmt::format("\"{}\"", domain.values[0]);
    return fmt::format("one of \"{}\"", fmt::join(domain.values, "\", \""));
  }
  std::string operator()(const Text&) const { return "a string that is not empty"; }
  std::string operator()(const Flag&) const { return "true or false"; }
  std::string operator()(const Whole& range) const { return "an integer" + describe(range); }
  std::string operator()(const WholeList& list) const {
    return "a list of integers" + describe(list.each) + ", such as [256, 128]";
  }
  std::string operator()(const Real& range) const {
    if (std::isinf(range.low)) return "a number";
    std::string text = fmt::format("a number {} {}", range.low_allowed ? ">=" : ">", range.low);
    if (std::isfinite(range.high)) text += fmt::format(" and {} {}", range.high_allowed ? "<=" : "<", range.high);
    return text;
  }
};

struct Accepts {
  const RecipeValue& value;

  bool operator()(const OneOf& domain) const {
    const auto* text = std::get_if<std::string>(&value);
    return text && std::find(domain.values.begin(), domain.values.end(), *text) != domain.values.end();
  }
  bool operator()(const Text&) const {
    const auto* text = std::get_if<std::string>(&value);
    return text && !text->empty();
  }
  bool operator()(const Flag&) const { return std::holds_alternative<bool>(value); }
  bool operator()(const Whole& range) const {
    const auto* number = std::get_if<std::int64_t>(&value);
    return number && inside(range, *number);
  }
  bool operator()(const WholeList& list) const {
    const auto* numbers = std::get_if<std::vector<std::int64_t>>(&value);
    return numbers && (list.empty_allowed || !numbers->empty()) &&
           std::all_of(numbers->begin(), numbers->end(), [&](std::int64_t n) { return inside(list.each, n); });
  }
  bool operator()(const Real& range) const {
    const auto* number = std::get_if<double>(&value);
    return number && std::isfinite(*number) && (range.low_allowed ? *number >= range.low : *number > range.low) &&
           (range.high_allowed ? *number <= range.high : *number < range.high);
  }
};

std::optional<BrokenRule> find_broken_schedule(const OptimizerRecipe& optimizer) {
  if (std::adjacent_find(optimizer.milestones.begin(), optimizer.milestones.end(), std::greater_equal<>()) !=
      optimizer.milestones.end())
    return BrokenRule{"optimizer", "milestones", "expected steps in ascending order"};
  if (optimizer.schedule == "step" && (optimizer.step_every > 0) == !optimizer.milestones.empty())
    return BrokenRule{"optimizer", "schedule", "expected either optimizer.step_every or optimizer.milestones with it"};
  if (optimizer.schedule != "step" && optimizer.step_every > 0)
    return BrokenRule{"optimizer", "step_every", "expected only with optimizer.schedule = \"step\""};
  if (optimizer.schedule != "step" && !optimizer.milestones.empty())
    return BrokenRule{"optimizer", "milestones", "expected only with optimizer.schedule = \"step\""};
  // Recipes that runs have written hold the defaults of keys that no schedule uses.
  const OptimizerRecipe defaults;
  if (optimizer.schedule != "step" && optimizer.gamma != defaults.gamma)
    return BrokenRule{"optimizer", "gamma", "expected only with optimizer.schedule = \"step\""};
  const bool falls = optimizer.schedule == "linear" || optimizer.schedule == "cosine";
  if (!falls && optimizer.final_lr_fraction != defaults.final_lr_fraction)
    return BrokenRule{"optimizer", "final_lr_fraction",
                      "expected only with optimizer.schedule = \"linear\" or \"cosine\""};
  return std::nullopt;
}

}  // namespace

const RecipeSchema& recipe_keys() {
  static const RecipeSchema keys = make_keys();
  return keys;
}

RecipeSchema recipe_keys_of(const Recipe& recipe) {
  RecipeSchema schema;
  for (const RecipeKey& key : recipe_keys()) {
    const bool custom = recipe_kind(recipe, key.section) == kCustomKind;
    if (!custom) {
      schema.push_back(key);
    } else if (key.name == "kind") {
      schema.push_back(key);
      schema.back().required = false;
      schema.back().domain = OneOf{{kCustomKind}};
      for (const OwnKey& own : recipe.own) {
        if (own.section == key.section) schema.push_back(own_key(own));
      }
    }
  }
  return schema;
}

const RecipeKey* find_recipe_key(const RecipeSchema& schema, std::string_view section, std::string_view name) {
  for (const RecipeKey& key : schema) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

std::string recipe_kind(const Recipe& recipe, std::string_view section) {
  const RecipeKey* kind = find_recipe_key(recipe_keys(), section, "kind");
  return kind ? std::get<std::string>(kind->get(recipe)) : "";
}

void set_kind_defaults(Recipe& recipe) {
  if (recipe.data.kind == "images") recipe.data.threads = 1;  // decoding is work; the others are read in no time
}

bool owns(const Recipe& recipe, const RecipeKey& key) {
  return key.kinds.empty() || contains(key.kinds, recipe_kind(recipe, key.section));
}

bool requires_key(const Recipe& recipe, const RecipeKey& key) {
  return key.required && owns(recipe, key) && !contains(key.defaulted_by, recipe_kind(recipe, key.section));
}

std::string expectation(const RecipeDomain& domain) { return std::visit(Expectation{}, domain); }

bool accepts(const RecipeDomain& domain, const RecipeValue& value) { return std::visit(Accepts{value}, domain); }

namespace {

// The depths that residual networks were published with.
bool is_depth(std::int64_t layers) {
  constexpr std::int64_t kDepths[] = {18, 34, 50, 101, 152};
  return std::find(std::begin(kDepths), std::end(kDepths), layers) != std::end(kDepths);
}

// What goes from the data to the model: tokens or pictures.
bool gives_tokens(const DataRecipe& data) { return data.kind == "text" || data.kind == "tokens"; }
bool reads_tokens(const ModelRecipe& model) { return model.kind == "gpt"; }

std::optional<BrokenRule> find_broken_rule(const ModelRecipe& model) {
  if (model.kind == "mlp" && model.activation == "swiglu")
    return BrokenRule{"model", "activation", "expected \"relu\" or \"gelu\" with model.kind = \"mlp\""};
  if (model.kind != "gpt") return std::nullopt;
  if (model.activation == "relu")
    return BrokenRule{"model", "activation", "expected \"gelu\" or \"swiglu\" with model.kind = \"gpt\""};
  if (model.heads % model.kv_heads != 0)
    return BrokenRule{"model", "kv_heads", fmt::format("expected a divisor of model.heads = {}", model.heads)};
  if (model.width % model.heads != 0)
    return BrokenRule{"model", "width", fmt::format("expected a multiple of model.heads = {}", model.heads)};
  if (model.positions == "rotary" && model.width / model.heads % 2 != 0)
    return BrokenRule{
        "model", "width",
        fmt::format("expected an even multiple of model.heads = {}, whose halves rotary positions turn", model.heads)};
  return std::nullopt;
}

}  // namespace

void complete(Recipe& recipe) {
  ModelRecipe& model = recipe.model;
  if (model.activation.empty()) model.activation = model.kind == "gpt" ? "gelu" : "relu";
  if (model.kind != "gpt") return;
  if (model.kv_heads == 0) model.kv_heads = model.heads;
  if (model.mlp_width == 0) model.mlp_width = default_mlp_width(model);
}

std::optional<BrokenRule> find_broken_rule(const Recipe& recipe) {
  const auto& [model, data, optimizer, train, sync, checkpoint, fault, own, origin] = recipe;
  const bool custom = model.kind == kCustomKind || data.kind == kCustomKind;  // the program sees to it that they fit
  if (!custom && reads_tokens(model) != gives_tokens(data)) {
    return BrokenRule{
        "data", "kind",
        fmt::format("expected {}, which model.kind = \"{}\" reads",
                    reads_tokens(model) ? "\"text\" or \"tokens\"" : "\"mnist\", \"cifar\" or \"images\"", model.kind)};
  }
  if (auto broken = find_broken_rule(model)) return broken;
  if (data.kind == "images" && data.augment == "affine") {
    return BrokenRule{"data", "augment",
                      "expected \"none\", \"crop\" or \"crop-flip\", which data.kind = \"images\" has"};
  }
  if (model.kind == "resnet" && !is_depth(model.layers)) {
    return BrokenRule{"model", "layers", "expected 18, 34, 50, 101 or 152"};
  }
  if (train.global_batch % train.logical_shards != 0) {
    return BrokenRule{"train", "global_batch",
                      fmt::format("expected a multiple of train.logical_shards = {}", train.logical_shards)};
  }
  if (train.recompute != "none" && train.graph != "static") {
    return BrokenRule{"train", "recompute", "expected \"none\" with train.graph = \"dynamic\""};
  }
  if (optimizer.nesterov && optimizer.momentum == 0.0) {
    return BrokenRule{"optimizer", "nesterov", "expected optimizer.momentum > 0 with it"};
  }
  if (const auto broken = find_broken_schedule(optimizer)) return broken;
  if (fault.suspect_s <= fault.heartbeat_s) {
    return BrokenRule{"fault", "suspect",
                      fmt::format("expected more than fault.heartbeat = {} seconds", fault.heartbeat_s)};
  }
  return std::nullopt;
}

}  // namespace convoy

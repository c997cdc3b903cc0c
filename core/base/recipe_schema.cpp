#include "core/base/recipe_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace convoy {
namespace {

// How a field is kept in a RecipeValue: unsigned integers travel as signed ones, which TOML has.
template <auto Section, auto Field>
RecipeValue get(const Recipe& recipe) {
  const auto& field = recipe.*Section.*Field;
  if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(field)>>) {
    return static_cast<std::int64_t>(field);
  } else {
    return field;
  }
}

template <auto Section, auto Field>
void set(Recipe& recipe, const RecipeValue& value) {
  auto& field = recipe.*Section.*Field;
  using T = std::remove_reference_t<decltype(field)>;
  if constexpr (std::is_integral_v<T>) {
    field = static_cast<T>(std::get<std::int64_t>(value));
  } else {
    field = std::get<T>(value);
  }
}

using Kinds = std::vector<std::string_view>;

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

std::vector<RecipeKey> make_keys() {
  using M = ModelRecipe;
  using D = DataRecipe;
  using O = OptimizerRecipe;
  using T = TrainRecipe;
  using S = SyncRecipe;
  using C = CheckpointRecipe;
  using F = FaultRecipe;
  return {
      model<&M::kind>("kind", {}, kRequired, OneOf{{"gpt", "mlp"}}),
      model<&M::layers>("layers", {"gpt"}, kRequired, Whole{1, 1000}),
      model<&M::heads>("heads", {"gpt"}, kRequired, Whole{1, 1000}),
      model<&M::width>("width", {"gpt"}, kRequired, Whole{1, 1'000'000}),
      model<&M::dropout>("dropout", {"gpt", "mlp"}, kOptional, kBelowOne),
      model<&M::hidden>("hidden", {"mlp"}, kRequired, WholeList{{1, 1'000'000}}),
      model<&M::activation>("activation", {"mlp"}, kOptional, OneOf{{"relu", "gelu"}}),

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

      optimizer<&O::kind>("kind", {}, kRequired, OneOf{{"adamw"}}),
      optimizer<&O::lr>("lr", {}, kRequired, kPositive),
      optimizer<&O::beta1>("beta1", {"adamw"}, kOptional, kBelowOne),
      optimizer<&O::beta2>("beta2", {"adamw"}, kOptional, kBelowOne),
      optimizer<&O::epsilon>("epsilon", {"adamw"}, kOptional, kPositive),
      optimizer<&O::weight_decay>("weight_decay", {}, kOptional, kNotNegative),
      optimizer<&O::clip_norm>("clip_norm", {}, kOptional, kNotNegative),
      optimizer<&O::schedule>("schedule", {}, kOptional, OneOf{{"constant", "linear", "cosine"}}),
      optimizer<&O::warmup_steps>("warmup_steps", {}, kOptional, Whole{0}),
      optimizer<&O::final_lr_fraction>("final_lr_fraction", {}, kOptional, kFraction),

      train<&T::steps>("steps", kRequired, Whole{1}),
      train<&T::global_batch>("global_batch", kRequired, Whole{1, 1'000'000}),
      train<&T::logical_shards>("logical_shards", kOptional, Whole{1, 65536}),
      train<&T::precision>("precision", kOptional, OneOf{{"fp32"}}),
      train<&T::seed>("seed", kOptional, Whole{0, std::numeric_limits<std::int64_t>::max()}),
      train<&T::graph>("graph", kOptional, OneOf{{"dynamic"}}),
      train<&T::device>("device", kOptional, OneOf{{"auto", "cpu"}}),
      train<&T::threads>("threads", kOptional, Whole{1, 1024}),
      train<&T::eval_every>("eval_every", kOptional, Whole{0}),
      train<&T::on_nonfinite>("on_nonfinite", kOptional, OneOf{{"stop", "skip"}}),

      sync<&S::mode>("mode", OneOf{{"allreduce"}}),
      sync<&S::engine>("engine", OneOf{{"auto", "local"}}),
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
  bool operator()(const Whole& range) const {
    const auto* number = std::get_if<std::int64_t>(&value);
    return number && inside(range, *number);
  }
  bool operator()(const WholeList& list) const {
    const auto* numbers = std::get_if<std::vector<std::int64_t>>(&value);
    return numbers && !numbers->empty() &&
           std::all_of(numbers->begin(), numbers->end(), [&](std::int64_t n) { return inside(list.each, n); });
  }
  bool operator()(const Real& range) const {
    const auto* number = std::get_if<double>(&value);
    return number && std::isfinite(*number) && (range.low_allowed ? *number >= range.low : *number > range.low) &&
           (range.high_allowed ? *number <= range.high : *number < range.high);
  }
};

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
  return key.kinds.empty() ||
         std::find(key.kinds.begin(), key.kinds.end(), recipe_kind(recipe, key.section)) != key.kinds.end();
}

std::string expectation(const RecipeDomain& domain) { return std::visit(Expectation{}, domain); }

bool accepts(const RecipeDomain& domain, const RecipeValue& value) { return std::visit(Accepts{value}, domain); }

namespace {

// What goes from the data to the model: tokens or pictures.
bool gives_tokens(const DataRecipe& data) { return data.kind == "text" || data.kind == "tokens"; }
bool reads_tokens(const ModelRecipe& model) { return model.kind == "gpt"; }

}  // namespace

std::optional<BrokenRule> find_broken_rule(const Recipe& recipe) {
  const auto& [model, data, optimizer, train, sync, checkpoint, fault, own, origin] = recipe;
  const bool custom = model.kind == kCustomKind || data.kind == kCustomKind;  // the program sees to it that they fit
  if (!custom && reads_tokens(model) != gives_tokens(data)) {
    return BrokenRule{
        "data", "kind",
        fmt::format("expected {}, which model.kind = \"{}\" reads",
                    reads_tokens(model) ? "\"text\" or \"tokens\"" : "\"mnist\", \"cifar\" or \"images\"", model.kind)};
  }
  if (model.kind == "gpt" && model.width % model.heads != 0) {
    return BrokenRule{"model", "width", fmt::format("expected a multiple of model.heads = {}", model.heads)};
  }
  if (data.kind == "images" && data.augment == "affine") {
    return BrokenRule{"data", "augment",
                      "expected \"none\", \"crop\" or \"crop-flip\", which data.kind = \"images\" has"};
  }
  if (train.global_batch % train.logical_shards != 0) {
    return BrokenRule{"train", "global_batch",
                      fmt::format("expected a multiple of train.logical_shards = {}", train.logical_shards)};
  }
  if (fault.suspect_s <= fault.heartbeat_s) {
    return BrokenRule{"fault", "suspect",
                      fmt::format("expected more than fault.heartbeat = {} seconds", fault.heartbeat_s)};
  }
  return std::nullopt;
}

}  // namespace convoy

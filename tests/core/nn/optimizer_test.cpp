#include "core/nn/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/recorder.h"
#include "core/ops/update.h"

namespace convoy {
namespace {

using Values = std::vector<double>;

const Values kStart = {0.5, -1.25, 2.0, 0.0, -0.75};
const std::vector<Values> kGradients = {
    {0.1, -0.2, 0.3, 0.4, -0.5}, {-0.3, 0.25, 0.05, -0.1, 0.2}, {0.7, 0.1, -0.6, 0.15, -0.05}};

OptimizerRecipe recipe_of(const std::string& kind) {
  OptimizerRecipe recipe;
  recipe.kind = kind;
  recipe.lr = 0.1;
  return recipe;
}

// A slice that starts on kStart, padded to a chunk, and its optimizer.
class Bench {
 public:
  explicit Bench(const OptimizerRecipe& recipe, bool decays = true, std::vector<Values> parameters = {kStart})
      : optimizer_(make_optimizer(recipe)), lr_(recipe.lr), parameters_(std::move(parameters)) {
    const Spec spec{DType::kF32, {static_cast<std::int64_t>(parameters_.size()) * kSquareChunk}, &device_};
    slice.values = Tensor::zeros(spec);
    slice.gradient = Tensor::zeros(spec);
    for (std::size_t k = 0; k < optimizer_->moments().size(); ++k) slice.moments.push_back(Tensor::zeros(spec));
    slice.decays = decays;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      const std::int64_t begin = static_cast<std::int64_t>(k) * kSquareChunk;
      slice.parameters.push_back({begin, begin + static_cast<std::int64_t>(parameters_[k].size())});
      write(slice.values, k, parameters_[k]);
    }
  }

  void step(const std::vector<Values>& gradients, double scale = 1.0, bool apply = true) {
    for (std::size_t k = 0; k < gradients.size(); ++k) write(slice.gradient, k, gradients[k]);
    const Recorder recorder(device_, {}, Recorder::Tape::kOff);
    const auto factors = optimizer_->factors(++steps_, {.lr = lr_, .gradient_scale = scale, .apply = apply});
    const auto count = static_cast<std::int64_t>(factors.size());
    optimizer_->update(Tensor::of<double>(device_, {count}, factors), slice);
  }

  Values values(std::size_t parameter = 0) const { return read(slice.values, parameter); }
  Values read(const Tensor& tensor, std::size_t k) const {
    const float* from = tensor.data<float>() + slice.parameters[k].begin;
    return {from, from + parameters_[k].size()};
  }
  const Optimizer& optimizer() const { return *optimizer_; }

 private:
  void write(const Tensor& tensor, std::size_t k, const Values& values) {
    std::copy(values.begin(), values.end(), tensor.data<float>() + slice.parameters[k].begin);
  }

  CpuDevice device_;
  std::unique_ptr<Optimizer> optimizer_;
  double lr_;
  std::vector<Values> parameters_;
  std::int64_t steps_ = 0;

 public:
  ParameterSlice slice;
};

void expect_near(const Values& actual, const Values& expected, double tolerance = 1e-6) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], tolerance) << "element " << i;
}

// Three steps of PyTorch 2.15's torch.optim.SGD and AdamW from kStart along kGradients with lr = 0.1.
struct TorchCase {
  const char* what;
  OptimizerRecipe recipe;
  Values expected;
};

std::vector<TorchCase> torch_cases() {
  OptimizerRecipe plain = recipe_of("sgd");
  plain.momentum = 0.0;
  OptimizerRecipe decay = plain;
  decay.weight_decay = 0.1;
  OptimizerRecipe momentum = recipe_of("sgd");
  OptimizerRecipe both = momentum;
  both.weight_decay = 0.1;
  OptimizerRecipe nesterov = both;
  nesterov.nesterov = true;
  OptimizerRecipe adamw = recipe_of("adamw");
  OptimizerRecipe adamw_decay = adamw;
  adamw_decay.weight_decay = 0.1;
  return {{"sgd", plain, {0.450000048, -1.26499999, 2.0250001, -0.0450000055, -0.714999974}},
          {"sgd, weight decay", decay, {0.435048521, -1.22802174, 1.96624506, -0.0443040021, -0.693519235}},
          {"sgd, momentum", momentum, {0.459900051, -1.25329995, 1.96920013, -0.104400001, -0.647500038}},
          {"sgd, both", both, {0.432168484, -1.18428171, 1.85914505, -0.102983996, -0.607479215}},
          {"sgd, nesterov", nesterov, {0.374296933, -1.17023075, 1.84231722, -0.13522923, -0.567813158}},
          {"adamw", adamw, {0.407274991, -1.19750774, 1.849913, -0.204457015, -0.581897736}},
          {"adamw, decay", adamw_decay, {0.39392519, -1.16220927, 1.79329383, -0.201992214, -0.561960757}}};
}

TEST(OptimizerTest, StepsWherePyTorchSteps) {
  for (const TorchCase& torch : torch_cases()) {
    SCOPED_TRACE(torch.what);
    Bench bench(torch.recipe);
    for (const Values& gradient : kGradients) bench.step({gradient});
    expect_near(bench.values(), torch.expected);
  }
}

// Algorithm 2 of You et al. 2020, as it is printed, in fp64.
Values lamb_by_hand(const OptimizerRecipe& recipe, Values p, const std::vector<Values>& gradients, bool decays) {
  Values m(p.size()), v(p.size()), u(p.size());
  const double decay = decays ? recipe.weight_decay : 0.0;
  for (std::size_t t = 1; t <= gradients.size(); ++t) {
    double p_norm = 0.0, u_norm = 0.0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = gradients[t - 1][i];
      m[i] = recipe.beta1 * m[i] + (1 - recipe.beta1) * g;
      v[i] = recipe.beta2 * v[i] + (1 - recipe.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(recipe.beta1, t)), v_hat = v[i] / (1 - std::pow(recipe.beta2, t));
      u[i] = m_hat / (std::sqrt(v_hat) + recipe.epsilon) + decay * p[i];
      p_norm += p[i] * p[i];
      u_norm += u[i] * u[i];
    }
    const double ratio = decays && p_norm > 0 && u_norm > 0 ? std::sqrt(p_norm / u_norm) : 1.0;
    for (std::size_t i = 0; i < p.size(); ++i) p[i] -= recipe.lr * ratio * u[i];
  }
  return p;
}

TEST(OptimizerTest, LambFollowsThePublishedFormula) {
  OptimizerRecipe recipe = recipe_of("lamb");
  recipe.weight_decay = 0.1;
  for (const bool decays : {true, false}) {
    Bench bench(recipe, decays);
    for (const Values& gradient : kGradients) bench.step({gradient});
    expect_near(bench.values(), lamb_by_hand(recipe, kStart, kGradients, decays));
  }
}

TEST(OptimizerTest, LambHasOneTrustRatioForEachParameter) {
  const OptimizerRecipe recipe = recipe_of("lamb");
  const Values large(700, 3.0);
  Values gradient(700);
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = std::sin(static_cast<double>(i));
  Bench bench(recipe, true, {kStart, large, Values(4, 0.0)});
  bench.step({kGradients[0], gradient, Values(4, 1.0)});
  expect_near(bench.values(0), lamb_by_hand(recipe, kStart, {kGradients[0]}, true));
  expect_near(bench.values(1), lamb_by_hand(recipe, large, {gradient}, true), 1e-5);
  expect_near(bench.values(2), Values(4, -0.1));  // from zero: a step of lr
}

TEST(OptimizerTest, EveryKindScalesTheGradientFirst) {
  for (const char* kind : {"adamw", "sgd", "lamb"}) {
    SCOPED_TRACE(kind);
    Bench scaled(recipe_of(kind)), plain(recipe_of(kind));
    Values half = kGradients[0];
    for (double& g : half) g = static_cast<float>(g) * 0.5;
    scaled.step({kGradients[0]}, 0.5);
    plain.step({half});
    EXPECT_EQ(scaled.values(), plain.values());
  }
}

TEST(OptimizerTest, EveryKindSkipsAStepWholly) {
  const Values wild(kStart.size(), std::numeric_limits<double>::quiet_NaN());
  for (const char* kind : {"adamw", "sgd", "lamb"}) {
    SCOPED_TRACE(kind);
    Bench bench(recipe_of(kind));
    bench.step({wild}, 1.0, false);
    EXPECT_EQ(bench.values(), Bench(recipe_of(kind)).values());
    for (const Tensor& moment : bench.slice.moments) EXPECT_EQ(bench.read(moment, 0), Values(kStart.size(), 0.0));
  }
}

TEST(OptimizerTest, OnlyWhatDecaysIsDecayed) {
  for (const char* kind : {"adamw", "sgd", "lamb"}) {
    SCOPED_TRACE(kind);
    OptimizerRecipe with = recipe_of(kind), without = recipe_of(kind);
    with.weight_decay = 0.5;
    Bench left_alone(with, false), plain(without, false);
    left_alone.step({kGradients[0]});
    plain.step({kGradients[0]});
    EXPECT_EQ(left_alone.values(), plain.values());
    EXPECT_TRUE(left_alone.optimizer().tells_groups_apart());
  }
}

TEST(OptimizerTest, MomentsHaveTheirNames) {
  EXPECT_EQ(make_optimizer(recipe_of("adamw"))->moments(), (std::vector<std::string>{"m", "v"}));
  EXPECT_EQ(make_optimizer(recipe_of("lamb"))->moments(), (std::vector<std::string>{"m", "v"}));
  EXPECT_EQ(make_optimizer(recipe_of("sgd"))->moments(), (std::vector<std::string>{"momentum_buffer"}));
  OptimizerRecipe plain = recipe_of("sgd");
  plain.momentum = 0.0;
  EXPECT_TRUE(make_optimizer(plain)->moments().empty());
}

TEST(OptimizerTest, AKindThatThereIsNotIsNamed) {
  try {
    make_optimizer(recipe_of("adam"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_STREQ(error.what(), "optimizer.kind: there is no optimizer \"adam\"");
  }
}

}  // namespace
}  // namespace convoy

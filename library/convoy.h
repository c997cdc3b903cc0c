// Convoy's library: a program brings a model and a data set, and is trained like Convoy's own recipes are: with any
// number of workers, with the same bits.
//
//   int main(int argc, char** argv) {
//     return convoy::train(argc, argv, {.recipe = …, .open_dataset = …, .make_model = …});
//   }
//
//   ./program [RECIPE] [key=value …] [--run DIR]              one worker, with the scheduler inside
//   convoy launch -n 4 -- ./program [RECIPE] [key=value …]    four
//   mpirun -np 4 ./program [RECIPE] [key=value …]             four under MPI's launcher, or srun's: on several hosts
//   ./program resume DIR [key=value …]                        goes on with a stopped run; so do several, as above
//   ./program eval DIR|CHECKPOINT [key=value …] [--json]      held-out loss and accuracy of what was trained
//   ./program export DIR|CHECKPOINT --onnx FILE               writes what was trained as an ONNX model
//   ./program … --dry-run                                     memory, flops and traffic of a step; trains nothing
//   ./program … --print-graph [--passes NAMES]                the captured step before and after each pass
//   ./program … --profile A:B                                 trains, and says where the time of steps A to B goes
//
// A model whose forward pass stands in blocks says so with a BlockScope (core/graph/recorder.h) in each: then
// train.recompute = "blocks" saves memory.
//
// What to read next: core/nn/model.h (a model), core/nn/layers.h (what models are made of), core/data/dataset.h (a data
// set), core/ops/ (the operators). Everything throws convoy::Error, whose message is one line for the user.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "core/graph/recorder.h"
#include "core/nn/layers.h"
#include "core/nn/model.h"
#include "core/ops/attention.h"
#include "core/ops/batch_norm.h"
#include "core/ops/concat.h"
#include "core/ops/constant.h"
#include "core/ops/conv.h"
#include "core/ops/cumsum.h"
#include "core/ops/elementwise.h"
#include "core/ops/gather.h"
#include "core/ops/index.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/rotary.h"
#include "core/ops/scatter.h"
#include "core/ops/softmax.h"
#include "core/ops/swiglu.h"
#include "core/ops/top_k.h"
#include "core/ops/view.h"

namespace convoy {

struct Program {
  // A whole recipe, as TOML: what a run of this program starts from. A RECIPE file and key=value on the command line
  // change its values. In sections that are the program's own ([data] if it opens the data set, [model] if it makes the
  // model) the keys are whatever stands here, with the types they have here; the program reads them with
  // Recipe::integer() and the like. Other sections have Convoy's keys.
  std::string recipe;

  // Opens the data; empty: what [data] says. Called in every worker: what it gives must be the same in all of them,
  // which digest() is compared for.
  std::function<std::unique_ptr<Dataset>(const Recipe& recipe)> open_dataset = nullptr;

  // Makes the model for the samples that the data set has; empty: what [model] says. It declares its parameters, whose
  // initial values follow from their names and train.seed.
  std::function<std::unique_ptr<Model>(const Recipe& recipe, const TaskSpec& task)> make_model = nullptr;

  // Both: an Error(kUsage) whose message begins with a key ("model.width: expected …") is shown with the place where
  // that key stands.
};

// The whole of a program's main(): reads the command line, finds this process's place in a run from its environment
// (alone, or as a worker that a launcher started; --place names another) and trains to the end. Returns the exit code:
// 0 done; 1 the run failed; 2 wrong usage or recipe; 75 stopped by a signal after a checkpoint, `resume` goes on.
// Errors are written to standard error, one line each; nothing is thrown.
//
// A run of several workers starts the program once more, with the same arguments: to prepare the run (`convoy launch`)
// or to serve it (mpirun, srun). That process, too, does its work in here and does what else stands in main().
//
// Call it from the main thread before any other thread is started; it takes SIGINT, SIGTERM, SIGHUP, SIGUSR1 and
// SIGUSR2 while it runs. Functions of `program`, the model and the data set are called from threads of this process,
// never two at a time on the same model; Dataset::read() from several threads at once.
int train(int argc, char** argv, const Program& program);

}  // namespace convoy

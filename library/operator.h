// What it takes to write an operator in a program built on the library: derive from Op, register it, apply it.
// CONTRIBUTING.md has the recipe; core/graph/op.h says what each function owes.
#pragma once

#include "core/graph/apply.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

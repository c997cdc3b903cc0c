#!/usr/bin/env python3
"""Fails on any #include, or CMake link line, that goes against the arrows of docs/architecture.md, and on a README.md
that was not filled in.

usage: architecture_test.py [ROOT]
"""
import pathlib
import re
import sys

# Room -> the rooms it may use, beside itself.
CORE_CHAIN = ["core/base", "core/device", "core/tensor", "core/graph", "core/ops", "core/nn"]
ALLOWED = {room: set(CORE_CHAIN[:i]) for i, room in enumerate(CORE_CHAIN)}
ALLOWED["core/data"] = set(CORE_CHAIN[:3])
ALLOWED["core/io"] = set(CORE_CHAIN[:4])
CORE = set(ALLOWED)
ALLOWED["cluster"] = {"core/base"}
ALLOWED["distributed"] = CORE | {"cluster"}
ALLOWED["scheduler"] = {"core/base", "cluster"}
ALLOWED["worker"] = CORE | {"cluster", "distributed"}
ALLOWED["launcher"] = {"core/base", "cluster"}
ALLOWED["library"] = CORE | {"cluster", "distributed", "scheduler", "worker", "launcher"}

SEES_EVERYTHING = {"launcher/main.cpp"}
PROGRAM = "convoy"  # the target of launcher/main.cpp
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
LINKS = re.compile(r"\b(?:convoy_module|target_link_libraries)\s*\(\s*(\S+)([^)]*)\)")
LIBRARIES = ("hwy/",)  # included in quotes, as their own documentation does
SOURCES = {".h", ".cpp", ".cu", ".cuh", ".inc"}


def room_of(path):
    """The room of a file, by its path from the root; None outside of the rooms."""
    return next((room for room in ALLOWED if path.startswith(room + "/")), None)


def include_errors(path, text):
    room = room_of(path)
    if room is None or path in SEES_EVERYTHING:
        return []
    errors = []
    for bracket, target in INCLUDE.findall(text):
        other = room_of(target)
        if target.startswith(LIBRARIES):
            continue
        if other is None and bracket == '"':
            errors.append(f'{path}: #include "{target}" names no room: includes start at the root')
        elif other is not None and other != room and other not in ALLOWED[room]:
            errors.append(f"{path}: #include of {target}: {room} may not use {other}")
    return errors


def link_errors(path, text):
    """`path` is a room's CMakeLists.txt: its targets may link only what its sources may include."""
    room = room_of(path)
    if room is None:
        return []
    errors = []
    targets = {"convoy_" + name.replace("/", "_"): name for name in ALLOWED}
    for target, arguments in LINKS.findall(text):
        for word in arguments.split() if target != PROGRAM else []:
            other = targets.get(word)
            if other and other != room and other not in ALLOWED[room]:
                errors.append(f"{path}: links {word}: {room} may not use {other}")
    return errors


def placeholder_errors(path, text):
    lines = enumerate(text.splitlines(), start=1)
    return [f"{path}:{number}: a placeholder is left: {line.strip()}" for number, line in lines if "@@" in line]


def scan(root):
    errors, scanned = [], 0
    readme = root / "README.md"
    errors += placeholder_errors(readme.name, readme.read_text(encoding="utf-8"))
    for top in sorted({room.split("/")[0] for room in ALLOWED}):
        for file in sorted((root / top).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix in SOURCES:
                scanned += 1
                errors += include_errors(path, file.read_text(encoding="utf-8"))
            elif file.name == "CMakeLists.txt":
                errors += link_errors(path, file.read_text(encoding="utf-8"))
    return errors, scanned


def self_test():
    """The checks must fail on what they are there for, or their silence means nothing."""
    refused = [
        ("core/base/error.h", "core/tensor/tensor.h"),
        ("core/tensor/tensor.cpp", "core/ops/ops.h"),
        ("core/graph/tape.cpp", "core/ops/matmul.h"),
        ("core/data/text.cpp", "core/nn/model.h"),
        ("core/io/safetensors.cpp", "core/data/text.h"),
        ("core/nn/gpt.cpp", "core/data/text.h"),
        ("core/nn/gpt.cpp", "cluster/link.h"),
        ("cluster/link.cpp", "core/tensor/tensor.h"),
        ("cluster/link.cpp", "scheduler/scheduler.h"),
        ("distributed/engine.cpp", "worker/trainer.h"),
        ("distributed/local/engine.cpp", "scheduler/scheduler.h"),
        ("scheduler/scheduler.cpp", "distributed/communicator.h"),
        ("scheduler/scheduler.cpp", "core/tensor/tensor.h"),
        ("worker/train.cpp", "launcher/output.h"),
        ("worker/train.cpp", "scheduler/scheduler.h"),
        ("launcher/supervisor.cpp", "worker/commands.h"),
        ("launcher/main.h", "worker/commands.h"),
        ("launcher/supervisor.cpp", "library/run_worker.h"),
        ("worker/train.cpp", "library/run_worker.h"),
        ("worker/train.cpp", "trainer.h"),
        ("worker/train.cpp", "../launcher/output.h"),
    ]
    accepted = [
        ("core/nn/gpt.cpp", "core/base/error.h"),
        ("core/data/text.cpp", "core/tensor/tensor.h"),
        ("distributed/engine.cpp", "core/ops/ops.h"),
        ("worker/train.cpp", "cluster/link.h"),
        ("worker/train.cpp", "core/io/safetensors.h"),
        ("launcher/main.cpp", "library/run_worker.h"),
        ("library/run_worker.cpp", "worker/commands.h"),
        ("library/inner_scheduler.h", "scheduler/scheduler.h"),
        ("tests/worker/train_test.cpp", "scheduler/scheduler.h"),
    ]
    for path, target in refused:
        assert include_errors(path, f'#pragma once\n  # include "{target}"\n'), f"{path} -> {target} was accepted"
        if room_of(target):
            assert include_errors(path, f"#include <{target}>\n"), f"{path} -> <{target}> was accepted"
    for path, target in accepted:
        for include in (f'"{target}"', f"<{target}>"):
            assert not include_errors(path, f"#include {include}\n"), f"{path} -> {include} was refused"
    assert not include_errors("cluster/link.cpp", "#include <zmq.hpp>\n")
    assert link_errors("scheduler/CMakeLists.txt", "convoy_module(convoy_scheduler\n  PUBLIC convoy_worker)")
    assert not link_errors("scheduler/CMakeLists.txt", "convoy_module(convoy_scheduler PUBLIC convoy_cluster)")
    assert link_errors("scheduler/CMakeLists.txt", "target_link_libraries(convoy_scheduler\n  PRIVATE convoy_worker)")
    assert not link_errors("scheduler/CMakeLists.txt", "target_link_libraries(convoy_scheduler PRIVATE convoy_cluster)")
    assert not link_errors("launcher/CMakeLists.txt", "target_link_libraries(convoy PRIVATE convoy_worker)")
    assert placeholder_errors("README.md", "fine\n@@QUICKSTART@@\n")
    assert not placeholder_errors("README.md", "mail me @home\n")


def main():
    self_test()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    errors, scanned = scan(root)
    for error in errors:
        print(error)
    if scanned == 0:
        print(f"{root} holds no sources")
        return 1
    print(f"{scanned} files, {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

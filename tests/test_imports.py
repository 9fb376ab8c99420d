"""The arrows between the packages, and what the service must never load."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["export", "engine", "stream", "training", "loadtest", "localbroker", "demo"]
ARROWS = {
    "export": set(),
    "engine": {"export"},
    "stream": {"engine", "export"},
    "training": {"engine", "export"},
    "loadtest": {"engine", "export"},
    "localbroker": set(),
    "demo": {"engine", "export", "loadtest", "localbroker", "training"},
}
# Rooms of export that need no torch and no onnxruntime; who does not train may enter no other.
OPEN_DOORS = {"export.signature"}


def modules() -> dict[str, set[str]]:
    """module -> the project's modules that it imports when it is loaded."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = set(_imports(ast.parse(path.read_text())))
    return found


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return [name for name in names if name.split(".")[0] in PACKAGES]


def test_packages_import_only_along_the_arrows() -> None:
    for module, imported in modules().items():
        package = module.split(".")[0]
        for other in imported:
            there = other.split(".")[0]
            assert there == package or there in ARROWS[package], f"{module} may not import {other}"


@pytest.mark.parametrize("package", ["engine", "stream", "loadtest"])
def test_who_does_not_train_knows_of_export_only_the_signature(package: str) -> None:
    for module, imported in modules().items():
        if module.split(".")[0] == package:
            beyond = {other for other in imported if other.split(".")[0] == "export"} - OPEN_DOORS
            assert not beyond, f"{module} imports {beyond}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {m: {i for i in imported if i != m} for m, imported in modules().items()}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_are_at_most_two_deep(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert len(path.relative_to(ROOT).parts) <= 3, path


def test_the_service_loads_neither_torch_nor_the_load_test_nor_the_trainer() -> None:
    banned = ["torch", "training", "loadtest", "polars", "matplotlib", "export.graph"]
    code = (
        "import sys, stream.serve, stream.broker.confluent, stream.broker.kafka_python;"
        f"print([m for m in {banned} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[]"

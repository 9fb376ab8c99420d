"""What the images install: every lock agrees with pyproject.toml and constraints.txt. Looks at no network."""

import re
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

from tests.service import ROOT

LOCKS = ROOT / "docker" / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"service": ("fast",), "cuda": ("fast",), "loadtest": ("fast", "loadtest"), "training": ("train",)}
MACHINES = ("x86_64", "aarch64")
AGAIN = "run `make locks`"
PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def linux(machine: str) -> dict[str, str]:
    """What a marker sees in the images."""
    return {
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine,
        "python_version": "3.11", "python_full_version": "3.11.2", "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "extra": "",
    }  # fmt: skip


def lock(name: str, machine: str = "x86_64") -> dict[str, str]:
    """Package -> version, of those that the machine installs. Every line must be a pin with its hashes."""
    text = (LOCKS / f"{name}.txt").read_text()
    assert not re.sub(r"^#.*\n", "", PIN.sub("", text), flags=re.M), f"{name}.txt holds more than pins and their hashes"
    found = [Requirement(f"{package}=={version}; {marker}" if marker else f"{package}=={version}")
             for package, version, marker, _ in PIN.findall(text)]  # fmt: skip
    return {
        canonical(r.name): str(r.specifier).removeprefix("==")
        for r in found
        if r.marker is None or r.marker.evaluate(linux(machine))
    }


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonical(package): version for package, _, version in (line.partition("==") for line in lines)}


def needed(extras: tuple[str, ...], machine: str) -> set[str]:
    """All that statecast with these extras brings along, as the packages installed here say it."""
    todo = [Requirement(text) for text in PROJECT["dependencies"]]
    todo += [Requirement(text) for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    seen: set[tuple[str, str]] = set()
    while todo:
        one = todo.pop()
        for extra in {"", *one.extras}:
            if (canonical(one.name), extra) not in seen:
                seen.add((canonical(one.name), extra))
                inner = map(Requirement, requires(one.name) or ())
                there = {**linux(machine), "extra": extra}
                todo += [r for r in inner if r.marker is None or r.marker.evaluate(there)]
    return {name for name, _ in seen}


@pytest.mark.parametrize("name", ["build", *EXTRAS])
def test_a_lock_has_the_versions_that_the_constraints_name(name: str) -> None:
    wanted = constraints()
    for machine in MACHINES:
        other = {p: v for p, v in lock(name, machine).items() if wanted.get(p) != v}
        assert not other, f"docker/locks/{name}.txt: {other}: constraints.txt says otherwise; {AGAIN}"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["service", "loadtest", "training"])
def test_a_lock_has_all_that_its_image_needs_and_nothing_else(name: str, machine: str) -> None:
    assert set(lock(name, machine)) == needed(EXTRAS[name], machine), f"docker/locks/{name}.txt: {AGAIN}"


def test_the_lock_for_cuda_differs_from_the_service_s_only_by_onnxruntime_and_nvidia_s_libraries() -> None:
    service, cuda = lock("service"), lock("cuda")
    assert set(service) - set(cuda) == {"onnxruntime"}
    more = set(cuda) - set(service)
    assert "onnxruntime-gpu" in more
    assert all(package.startswith("nvidia-") for package in more - {"onnxruntime-gpu"}), more
    assert cuda["onnxruntime-gpu"] == service["onnxruntime"]


def test_the_service_s_lock_has_no_torch() -> None:
    assert "torch" in lock("training")
    assert not {"torch", "polars", "matplotlib"} & {*lock("service"), *lock("cuda")}


def test_what_builds_the_wheel_is_what_the_project_asks_for() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    built = lock("build")
    assert {canonical(Requirement(text).name) for text in asked} == set(built)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(built[canonical(requirement.name)])


def test_the_project_s_own_pins_are_the_constraints() -> None:
    wanted = constraints()
    everything = [*PROJECT["dependencies"], *(t for ts in PROJECT["optional-dependencies"].values() for t in ts)]
    for requirement in map(Requirement, everything):
        if canonical(requirement.name) != "statecast":
            assert requirement.specifier.contains(wanted[canonical(requirement.name)]), str(requirement)

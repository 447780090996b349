"""What other houses build from says what pyproject says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import dmagnet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What conda-forge calls otherwise.
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base", "astropy": "astropy-base"}
# What Windows does not have.
POSIX = "fcntl grp nis ossaudiodev posix pty pwd readline resource spwd syslog termios"
WALK = f"""
import builtins, importlib, pkgutil
usual = builtins.__import__
def absent(name, *given, **named):
    scope = named.get("globals") or (given[0] if given else None) or {{}}
    asker = scope.get("__name__") or ""
    if asker.startswith("dmagnet") and name in {POSIX.split()!r}:
        raise ModuleNotFoundError(f"{{asker}} needs {{name}}, which Windows has not")
    return usual(name, *given, **named)
builtins.__import__ = absent
import dmagnet
for module in pkgutil.walk_packages(dmagnet.__path__, "dmagnet."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def required(lines):
    found = (re.fullmatch(r"([\w.-]+) *(.*)", line) for line in lines)
    return {match[1]: match[2] for match in found}


def test_conda_asks_for_what_pip_asks_for():
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    conda = required(recipe["requirements"]["run"])
    assert conda.pop("python") == PROJECT["requires-python"]
    pip = required(PROJECT["dependencies"])
    assert conda == {CONDA.get(name, name): least for name, least in pip.items()}


def test_all_say_the_same_version_license_and_python():
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    versions = {recipe["context"]["version"], cff["version"], PROJECT["version"]}
    assert versions == {dmagnet.__version__}
    licenses = {recipe["about"]["license"], cff["license"], zenodo["license"]}
    assert licenses == {PROJECT["license"]}
    assert zenodo["title"] == cff["title"]
    docker = (ROOT / "Dockerfile").read_text()
    assert f"FROM python:{PROJECT['requires-python'].strip('>=')}-slim" in docker


def test_the_public_ci_runs_the_script_that_readme_names():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step.get("run") for step in workflow["jobs"]["check"]["steps"]]
    (command,) = filter(None, steps)
    assert f"\n{command}\n" in (ROOT / "README.md").read_text()


def test_docker_copies_what_the_build_reads():
    docker = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (.+) \S+$", docker, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    kept = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().split()
        if line[0] == "!"
    }
    assert names == kept
    assert all((ROOT / name).exists() for name in names)
    extras = set(re.search(r"'\.\[(.+)\]'", docker)[1].split(","))
    assert extras <= set(PROJECT["optional-dependencies"])


def test_no_module_needs_what_windows_does_not_have():
    subprocess.run([sys.executable, "-W", "ignore", "-c", WALK], check=True)


@pytest.mark.slow
def test_the_build_passes_the_check_of_the_index(tmp_path):
    build = [sys.executable, "-m", "build", "--no-isolation", "-o", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    files = sorted(tmp_path.iterdir())
    assert {file.suffix for file in files} == {".gz", ".whl"}
    twine = [sys.executable, "-m", "twine", "check", "--strict", *files]
    told = subprocess.run(twine, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout

"""Full numpydoc on what a package exports, one line elsewhere."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from numpydoc.hooks.validate_docstrings import parse_config, process_file

import dmagnet

SOURCE = Path(dmagnet.__file__).parent
NO_SECTIONS = {"PR01", "RT01", "YD01"}  # what numpydoc misses where there are none


def exported():
    """Name what the packages export, by module and name within it."""
    packages = [m.name for m in pkgutil.walk_packages(dmagnet.__path__, "dmagnet.")]
    for package in ["dmagnet", *packages]:
        module = importlib.import_module(package)
        if not hasattr(module, "__path__"):
            continue
        again = re.findall(r"import (\w+) as \1", inspect.getsource(module))
        for name in getattr(module, "__all__", again):
            each = inspect.unwrap(getattr(module, name))
            if inspect.isroutine(each) or inspect.isclass(each):
                yield f"{each.__module__}.{each.__qualname__}"


def documented():
    """List what numpydoc finds: the name in full, and the fault."""
    config = parse_config(SOURCE.parents[1])
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        for place, name, code, line in process_file(path, config):
            yield f"{module}.{name.partition('.')[2]}", code, f"{place}: {line}"


def named_in_the_reference():
    """Name what docs/api.md lists: whole modules, and names within them."""
    module = ""
    for line in (SOURCE.parents[1] / "docs" / "api.md").read_text().splitlines():
        if found := re.match(r"\.\. (\w+):: ([\w.]+)", line):
            kind, name = found.groups()
            module = name if kind in ("currentmodule", "automodule") else module
            each = importlib.import_module(module)
            for part in name.split(".") if kind.startswith("auto") else ():
                each = getattr(each, part, each)
            yield module if kind == "automodule" else getattr(each, "__module__", "")


def members_shown():
    """Name the members of classes that docs/api.md shows, by pattern."""
    text = (SOURCE.parents[1] / "docs" / "api.md").read_text()
    for name, some in re.findall(r"autoclass:: (\w+)\n +:members:(.*)", text):
        names = some.replace(",", " ").split() or [r"\w+"]
        yield rf"{name}\.({'|'.join(names)})"


def test_what_nobody_is_shown_has_one_line():
    shown, modules = set(exported()), set(named_in_the_reference())
    wordy = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if module in modules or module.startswith("dmagnet.cli."):  # help, there
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                told = ast.get_docstring(node) or ""
                if "\n---" in told and f"{module}.{node.name}" not in shown:
                    wordy.append(f"{module}.{node.name}")
    assert wordy == []


def test_what_is_exported_is_documented_in_full():
    known, members = set(exported()), "|".join(members_shown())

    def shown(name):
        member = re.search(rf"\.({members})$", name)
        return name in known or (member and name.rpartition(".")[0] in known)

    wrong = [
        told
        for name, code, told in documented()
        if code not in NO_SECTIONS or shown(name)
    ]
    assert not wrong, "\n".join(wrong)

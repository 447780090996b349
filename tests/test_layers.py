"""The story has one direction: a chapter may use earlier chapters only."""

import ast
import importlib
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "dmagnet"
STORY = [
    *("errors", "storage", "classes", "config", "pictures", "simulator", "galaxies"),
    *("calibration", "network", "training", "judging", "exporting", "classifying"),
    *("figures", "dreaming", "measuring", "explaining", "reporting", "app", "cli"),
]
HEAVY = {"torch", "lightning", "matplotlib", "h5py", "kornia", "astropy", "sklearn"}
TORCH_FREE = [
    *("errors", "storage", "classes", "config", "pictures", "pictures.inputs"),
    *("calibration", "network", "exporting", "classifying", "reporting", "cli.cite"),
]


def files_of(chapter):
    folder = PACKAGE / chapter
    return (
        sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    )


def imported_chapters(path):
    used = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "dmagnet":
            used |= {n.name for n in node.names} - {"__version__", "_lazily"}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "dmagnet":
                used.add(parts[1])
    return used


@pytest.mark.parametrize("chapter", STORY)
def test_a_chapter_imports_itself_and_earlier_chapters_only(chapter):
    allowed = set(STORY[: STORY.index(chapter) + 1])
    for path in files_of(chapter):
        assert imported_chapters(path) <= allowed, path.name


def imported_files(path, names):
    """List the files that one imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in names else node.module


def test_no_files_import_each_other_in_a_circle():
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
    }
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {
        name: {used for used in imported_files(path, names) if used in names} - {name}
        for name, path in names.items()
    }
    tuple(TopologicalSorter(graph).static_order())  # or CycleError


def test_no_file_name_stands_twice():
    names = Counter(p.name for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_class_name_stands_twice():
    names = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_every_module_has_its_place_in_the_story():
    modules = {path.stem for path in PACKAGE.glob("[!_]*.py")}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert modules | folders == set(STORY)


@pytest.mark.parametrize("chapter", STORY)
def test_no_file_is_longer_than_400_lines(chapter):
    for path in files_of(chapter):
        assert path.read_text().count("\n") <= 400, path.name


def loaded_after(code):
    return set(
        subprocess.run(
            [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )


def test_the_command_line_loads_no_heavy_library():
    slow = {"numpy", "filelock", "importlib.resources"}  # 3 to 50 ms
    assert not (HEAVY | slow) & loaded_after("import dmagnet.cli")


def test_to_classify_loads_no_library_that_only_judges():
    code = "import dmagnet.judging.predict, dmagnet.classifying.local"
    assert "sklearn" not in loaded_after(code)


def test_the_old_names_of_rooms_are_known():
    code = (
        "from dmagnet.images import legacy_rgb; from dmagnet.simulate import draw_flux;"
        "from dmagnet.sources import list_items; import dmagnet.pictures as now;"
        "assert legacy_rgb is now.legacy_rgb"
    )
    assert "dmagnet.simulator" in loaded_after(code)
    with pytest.raises(ModuleNotFoundError, match=r"dmagnet\.nonsense"):
        importlib.import_module("dmagnet.nonsense")


def test_the_torch_free_chapters_do_not_load_torch():
    code = "import " + ", ".join(f"dmagnet.{chapter}" for chapter in TORCH_FREE)
    assert "torch" not in loaded_after(code)


@pytest.mark.parametrize("chapter", [c for c in STORY if c != "figures"])
def test_only_figures_imports_matplotlib(chapter):
    for path in files_of(chapter):
        assert "import matplotlib" not in path.read_text(), path.name
        assert "from matplotlib" not in path.read_text(), path.name


def test_the_public_names_are_there_and_importing_the_package_is_light():
    assert not HEAVY & loaded_after("import dmagnet")
    import dmagnet

    for name in dmagnet.__all__:
        assert getattr(dmagnet, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dmagnet.nonsense

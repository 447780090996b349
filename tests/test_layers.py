"""The story has one direction: a chapter may use earlier chapters only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "dmagnet"
STORY = [
    *("errors", "disk", "records", "environment", "classes", "config", "recipes"),
    *(
        "images",
        "tables",
        "simulate",
        "data",
        "augment",
        "model",
        "calibrate",
        "checkpoint",
        "weights",
        "train",
    ),
    *("evaluate", "predict", "trust", "export", "sources", "catalog", "survey"),
    *("dreams", "measures", "figures", "evidence", "report", "assess", "failures"),
    *("galaxy", "gallery", "demo", "app", "cite", "cli"),
]
HEAVY = {"torch", "lightning", "matplotlib", "h5py", "kornia", "astropy", "sklearn"}
TORCH_FREE = [
    *(
        "errors",
        "disk",
        "records",
        "environment",
        "classes",
        "config",
        "recipes",
        "images",
        "tables",
        "evaluate",
    ),
    *("calibrate", "weights", "export", "sources", "catalog", "survey", "cite"),
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
            used |= {name.name for name in node.names} - {"__version__"}
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
    assert not HEAVY & loaded_after("import dmagnet.cli")


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

"""What the documentation says is so: commands, links, knobs, keys, numbers."""

import importlib
import json
import re
import shlex
from collections import Counter
from dataclasses import replace
from functools import wraps
from importlib import resources
from pathlib import Path

import pytest
import tyro
import yaml
from astropy.table import Table

from dmagnet import __version__
from dmagnet.classes import CLASSES
from dmagnet.classifying.table_columns import About, columns
from dmagnet.cli import VERBS
from dmagnet.cli.door import prefixes
from dmagnet.config import ModelConfig
from dmagnet.config.recipes import RECIPES, smoke
from dmagnet.galaxies import audit, read_positions
from dmagnet.network import SHAPES, DMAGNet
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.reporting.assess import assess
from dmagnet.storage.disk import is_own

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OWN = [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *OWN]
RUN = r"^(?:\w+=\S+ )*(?:\.venv/bin/)?dmagnet (.*)"


def blocks(page, language):
    """The fenced blocks of a language, without line continuations."""
    text = page.read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\\\n\s*", "", block) for block in found]


def commands():
    for page in PAGES:
        for block in blocks(page, "(?:sh|text)"):
            for chained in block.replace("&&", "\n").splitlines():
                if match := re.match(RUN, chained.strip()):
                    words = re.split(r"\s{3,}|\s#", match[1])[0]
                    yield pytest.param(words, id=f"{page.stem}: {words}")


def rows(page, heading):
    """The rows of the table below a header cell, as lists of cells."""
    lines = (DOCS / page).read_text().splitlines()
    found = []
    for at in (i for i, line in enumerate(lines) if line.startswith(f"| {heading}")):
        for line in lines[at + 2 :]:
            if not line.startswith("|"):
                break
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    assert found, f"{page} has no table with {heading!r}"
    return found


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


def parse(verb, argv):
    """Read a command as the program does, without doing it."""

    @wraps(VERBS[verb])
    def nothing(*args, **kwargs):
        pass

    tyro.cli(nothing, args=argv, config=prefixes(verb))


def options(verb, capsys):
    with pytest.raises(SystemExit):
        parse(verb, ["--help"])
    shown = re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)
    return {flag for flag in shown if not flag.startswith(("--no-", "--help"))}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A folder that `assess` wrote, of an untrained network on one part of blobs."""
    from blobs import blobs

    galaxies = blobs(num=24).subset("val")
    config = replace(smoke(), model=ModelConfig(size="xs", num_classes=3))
    network = Checkpoint(DMAGNet(config.model).eval(), config, galaxies.class_names)
    out = tmp_path_factory.mktemp("judged")
    assess(network, galaxies, out)
    return out


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_in_the_docs_parses(words):
    verb, *argv = shlex.split(words.replace("...", ""))
    if verb not in ("--version", "VERB", "completion"):
        parse(verb, argv)


def test_a_wrong_flag_in_the_docs_would_be_noticed():
    with pytest.raises(SystemExit):
        parse("simulate", ["-o", "sim.h5", "--number", "5"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_images_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)", path.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()) for title in titles]
            assert anchor in [slug.replace(" ", "-") for slug in slugs], target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_in_the_docs_imports_what_exists(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")
        for module, names in re.findall(r"^from (\S+) import (.*)", block, re.M):
            found = importlib.import_module(module)
            for name in names.split(", "):
                assert hasattr(found, name), f"{module}.{name}"


def test_the_reference_names_what_exists():
    module = None
    for line in (DOCS / "api.md").read_text().splitlines():
        if match := re.match(r"\.\. (?:currentmodule|automodule):: (\S+)", line):
            module = importlib.import_module(match[1])
        elif match := re.match(r"\.\. (?:auto\w+|py:data):: (\S+)", line):
            assert hasattr(module, match[1]), f"{module}: {match[1]}"


def test_the_training_guide_names_every_flag_and_no_other(capsys):
    cells = [row[0] for row in rows("guides/training.md", "flag")]
    named = [flag for cell in cells for flag in code(cell)]
    assert not [flag for flag, times in Counter(named).items() if times > 1]
    assert set(named) == options("train", capsys)


def test_the_simulating_guide_names_every_flag_and_no_other(capsys):
    cells = [row[0] for row in rows("guides/simulating.md", "flag")]
    assert {flag for cell in cells for flag in code(cell)} == options(
        "simulate", capsys
    )


def test_the_training_guide_has_the_values_of_the_recipes():
    table = {code(row[0])[0]: row[1:6] for row in rows("guides/training.md", "recipe")}
    assert set(table) == set(RECIPES)
    for name, (size, *numbers) in table.items():
        config = RECIPES[name]()
        values = [config.image_size, config.epochs, config.batch_size, config.lr]
        assert (size, [float(n) for n in numbers]) == (config.model.size, values)


def test_the_evaluating_guide_names_the_keys_of_the_json(judged):
    content = json.loads((judged / "metrics.json").read_text())
    cells = [row[0] for row in rows("guides/evaluating.md", "key in `metrics.json`")]
    assert [key for cell in cells for key in code(cell)] == list(content)
    meanings = {
        code(row[0])[0]: row[1]
        for row in rows("guides/evaluating.md", "key in `metrics.json`")
    }
    assert code(meanings["per_class"]) == list(content["per_class"][0])
    cells = [row[0] for row in rows("guides/evaluating.md", "key in `provenance`")]
    assert {key for cell in cells for key in code(cell)} == set(content["provenance"])


def test_no_page_reads_a_key_that_the_json_does_not_have(judged):
    keys = set(json.loads((judged / "metrics.json").read_text()))
    for page in PAGES:
        for block in blocks(page, "python"):
            used = set(re.findall(r"metrics\[['\"](\w+)['\"]\]", block))
            assert used <= keys, page.name


def test_the_evaluating_guide_names_the_columns_of_the_table(judged):
    heading = "column of `predictions.ecsv`"
    cells = [row[0] for row in rows("guides/evaluating.md", heading)]
    named = [column for cell in cells for column in code(cell)]
    table = Table.read(judged / "predictions.ecsv")
    assert named == table.colnames[: len(named)]


def test_the_classifying_guide_names_the_columns_of_the_table_in_their_order():
    cells = [row[0] for row in rows("guides/classifying.md", "column | what it holds")]
    named = [column for cell in cells for column in code(cell)]
    known = [column.name for column in columns(About(("Round", "Cigar"), ""))]
    assert named == known


def test_the_evaluating_guide_names_the_files_of_the_folder(judged):
    cells = [row[0] for row in rows("guides/evaluating.md", "file")]
    named = {file for cell in cells for file in code(cell)}
    assert named == {p.name for p in judged.iterdir() if not is_own(p.name)}


def test_the_science_page_has_the_sizes_of_the_network():
    for cells in rows("science.md", "size"):
        shape = SHAPES[code(cells[0])[0]]
        widths, depths = ([int(n) for n in cell.split(",")] for cell in cells[1:3])
        assert (widths, depths) == (list(shape.widths), list(shape.depths))
        network = DMAGNet(ModelConfig(size=code(cells[0])[0]))
        millions = sum(weights.numel() for weights in network.parameters()) / 1e6
        assert cells[3] == f"{millions:.2f} M"


def test_the_science_page_has_the_table_of_the_classes():
    table = [
        [str(c.index), c.name, c.family, str(c.count), c.description] for c in CLASSES
    ]
    assert rows("science.md", "index") == table


def test_the_galaxy10_guide_has_the_numbers_of_the_split():
    text = (
        resources.files("dmagnet.galaxies") / "galaxy10_decals_split.csv"
    ).read_text()
    parts = [row.split(",")[1] for row in text.splitlines() if row[:1].isdigit()]
    end, table = 0, []
    for entry in CLASSES:  # the published file is in the order of its classes
        start, end = end, end + entry.count
        found = Counter(parts[start:end])
        table.append([entry.name, *(str(found[p]) for p in ("train", "val", "test"))])
    found = Counter(parts)
    table.append(["**all**", *(str(found[p]) for p in ("train", "val", "test"))])
    assert rows("guides/galaxy10.md", "class") == table


def test_the_galaxy10_guide_has_the_numbers_of_the_audit(shared):
    found = audit(*read_positions(shared / "galaxy10_positions_17736.csv")).summary()
    del found["unknown_positions"]
    numbers = [int(row[1]) for row in rows("guides/galaxy10.md", "what")]
    assert numbers == list(found.values())


def test_the_citation_file_is_whole_and_of_this_version():
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "title", "authors", "version", "license"}
    assert required <= set(content)
    assert content["cff-version"] == "1.2.0"
    assert content["authors"] == [{"name": "The dmagnet developers"}]
    assert content["version"] == __version__

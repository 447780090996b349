"""What to cite is complete, and a bibliography can read it."""

import re

import pytest

from dmagnet import __version__
from dmagnet.cli.cite import FIELD, citation, references
from dmagnet.errors import ConfigError


@pytest.mark.parametrize("style", ["text", "bibtex"])
def test_every_reference_and_the_acknowledgment_are_there(style):
    text = citation(style)
    assert "legacysurvey.org/acknowledgment" in text
    assert __version__ in text
    for entry in references():
        told = dict(FIELD.findall(entry))
        for name in ("title", "doi", "url"):
            assert told.get(name, "").strip("{}") in text


def test_bibtex_entries_are_well_formed():
    entries = re.findall(
        r"^@(\w+)\{(\w+),\n((?:  \w+ = \{.*\},\n)+)\}$", citation("bibtex"), re.M
    )
    assert len(entries) == len({key for _, key, _ in entries}) == len(references())
    for _, _, fields in entries:
        assert fields.count("{") == fields.count("}")
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+)", fields, re.M))


def test_only_this_package_is_without_an_address():
    (entry,) = [e for e in references() if "  doi = " not in e and "  url = " not in e]
    assert entry.startswith("@misc{dmagnet,")


def test_another_style_is_refused():
    with pytest.raises(ConfigError, match="text or bibtex"):
        citation("ris")

"""Citations: the package, the data, the people who looked, the tools."""

import re
from importlib import resources
from typing import Literal

from dmagnet import __version__
from dmagnet.errors import ConfigError

Style = Literal["text", "bibtex"]

SURVEY_ACKNOWLEDGMENT = "https://www.legacysurvey.org/acknowledgment/"
FIELD = re.compile(r"^  (\w+) = \{(.*)\},$", re.MULTILINE)


def references() -> list[str]:
    """Read the entries of the bibliography, with what is shown of each in a text."""
    file = resources.files("dmagnet.cli") / "references.bib"
    text = file.read_text(encoding="utf-8").replace("VERSION", __version__)
    return [entry.rstrip() for entry in text.split("\n\n") if entry.startswith("@")]


def citation(style: Style = "text") -> str:
    """Return what to cite in a paper that used dmagnet.

    Parameters
    ----------
    style : {"text", "bibtex"}
        Lines to read, or entries for a bibliography.

    Returns
    -------
    str
        All references, with a pointer to the survey's acknowledgment.

    Raises
    ------
    ConfigError
        If the style is another.
    """
    if style == "bibtex":
        own = re.compile(r"  (why|shown) = .*\n")
        entries = "\n\n".join(own.sub("", entry) for entry in references())
        return (
            f"% Legacy Surveys, text to include: {SURVEY_ACKNOWLEDGMENT}\n\n{entries}"
        )
    if style == "text":
        lines = "\n".join(map(_line, references()))
        return (
            "If dmagnet helped your work, please cite what you used of:\n\n"
            f"{lines}\n\nWith images of the Legacy Surveys, include their "
            f"acknowledgment: {SURVEY_ACKNOWLEDGMENT}"
        )
    raise ConfigError(f"style: expected text or bibtex, got {style!r}")


def _line(entry: str) -> str:
    plain = str.maketrans("", "", "{}")
    told = {name: value.translate(plain) for name, value in FIELD.findall(entry)}
    authors = told["author"].replace(" and others", " et al.").replace(" and ", "; ")
    where = f"https://doi.org/{told['doi']}" if "doi" in told else told.get("url", "")
    parts = f"{authors} ({told['year']}): {told['title']}. {told['shown']}"
    return f"- {told['why']}: {parts}. {where}".rstrip()

"""What to cite: the package, the data, the people who looked, the tools."""

from dataclasses import dataclass
from typing import Literal

from dmagnet import __version__
from dmagnet.errors import ConfigError

Style = Literal["text", "bibtex"]

SURVEY_ACKNOWLEDGMENT = "https://www.legacysurvey.org/acknowledgment/"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One work to cite.

    Attributes
    ----------
    key : str
        Its BibTeX key.
    why : str
        What it gave to this package.
    kind : str
        Its BibTeX entry type.
    author, title, year : str
        As in BibTeX; authors are parted by "and".
    venue : str
        Journal with volume and page, or publisher.
    fields : tuple of (str, str)
        What BibTeX needs besides: journal, volume, pages, publisher.
    doi, url : str
        Where it is; one of them may be empty.
    """

    key: str
    why: str
    kind: str
    author: str
    title: str
    year: str
    venue: str
    fields: tuple[tuple[str, str], ...] = ()
    doi: str = ""
    url: str = ""


def _paper(journal: str, volume: str, pages: str) -> tuple[tuple[str, str], ...]:
    return (("journal", journal), ("volume", volume), ("pages", pages))


REFERENCES = (
    Reference(
        key="dmagnet",
        why="this package",
        kind="misc",
        author="{The dmagnet developers}",
        title="dmagnet: interpretable galaxy morphology classification",
        year="2026",
        venue=f"version {__version__}",
        fields=(("version", __version__),),
    ),
    Reference(
        key="Galaxy10DECaLS",
        why="the data set Galaxy10 DECaLS",
        kind="misc",
        author="Leung, Henry W. and Bovy, Jo",
        title="Galaxy10 DECaLS",
        year="2024",
        venue="Zenodo, data set",
        fields=(("publisher", "Zenodo"),),
        doi="10.5281/zenodo.10845026",
    ),
    Reference(
        key="LeungBovy2019",
        why="astroNN, which published Galaxy10",
        kind="article",
        author="Leung, Henry W. and Bovy, Jo",
        title="Deep learning of multi-element abundances from high-resolution "
        "spectroscopic data",
        year="2019",
        venue="MNRAS 483, 3255",
        fields=_paper(
            "Monthly Notices of the Royal Astronomical Society", "483", "3255-3277"
        ),
        doi="10.1093/mnras/sty3217",
    ),
    Reference(
        key="Lintott2008",
        why="Galaxy Zoo: the idea and the volunteers",
        kind="article",
        author="Lintott, Chris J. and others",
        title="Galaxy Zoo: morphologies derived from visual inspection of galaxies "
        "from the Sloan Digital Sky Survey",
        year="2008",
        venue="MNRAS 389, 1179",
        fields=_paper(
            "Monthly Notices of the Royal Astronomical Society", "389", "1179-1189"
        ),
        doi="10.1111/j.1365-2966.2008.13689.x",
    ),
    Reference(
        key="Lintott2011",
        why="Galaxy Zoo 1: its public labels",
        kind="article",
        author="Lintott, Chris and others",
        title="Galaxy Zoo 1: data release of morphological classifications for nearly "
        "900 000 galaxies",
        year="2011",
        venue="MNRAS 410, 166",
        fields=_paper(
            "Monthly Notices of the Royal Astronomical Society", "410", "166-178"
        ),
        doi="10.1111/j.1365-2966.2010.17432.x",
    ),
    Reference(
        key="Walmsley2022",
        why="Galaxy Zoo DECaLS: the votes behind the labels",
        kind="article",
        author="Walmsley, Mike and others",
        title="Galaxy Zoo DECaLS: Detailed visual morphology measurements from "
        "volunteers and deep learning for 314 000 galaxies",
        year="2022",
        venue="MNRAS 509, 3966",
        fields=_paper(
            "Monthly Notices of the Royal Astronomical Society", "509", "3966-3988"
        ),
        doi="10.1093/mnras/stab2093",
    ),
    Reference(
        key="Dey2019",
        why="the DESI Legacy Imaging Surveys: the images",
        kind="article",
        author="Dey, Arjun and others",
        title="Overview of the DESI Legacy Imaging Surveys",
        year="2019",
        venue="AJ 157, 168",
        fields=_paper("The Astronomical Journal", "157", "168"),
        doi="10.3847/1538-3881/ab089d",
    ),
    Reference(
        key="Mordvintsev2015",
        why="Deep Dream",
        kind="misc",
        author="Mordvintsev, Alexander and Olah, Christopher and Tyka, Mike",
        title="Inceptionism: Going Deeper into Neural Networks",
        year="2015",
        venue="Google Research Blog",
        fields=(("howpublished", "Google Research Blog"),),
        url="https://research.google/blog/inceptionism-going-deeper-into-neural-networks/",
    ),
    Reference(
        key="PyTorch2",
        why="PyTorch",
        kind="inproceedings",
        author="Ansel, Jason and others",
        title="PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode "
        "Transformation and Graph Compilation",
        year="2024",
        venue="ASPLOS '24",
        fields=(
            (
                "booktitle",
                "Proceedings of the 29th ACM International Conference on "
                "Architectural Support for Programming Languages and Operating "
                "Systems, Volume 2",
            ),
            ("pages", "929-947"),
        ),
        doi="10.1145/3620665.3640366",
    ),
    Reference(
        key="Lightning",
        why="PyTorch Lightning",
        kind="misc",
        author="Falcon, William and {The PyTorch Lightning team}",
        title="PyTorch Lightning",
        year="2019",
        venue="Zenodo, software",
        doi="10.5281/zenodo.3828935",
    ),
    Reference(
        key="Astropy2022",
        why="Astropy",
        kind="article",
        author="{Astropy Collaboration} and Price-Whelan, Adrian M. and others",
        title="The Astropy Project: Sustaining and Growing a Community-oriented "
        "Open-source Project and the Latest Major Release (v5.0) of the Core Package",
        year="2022",
        venue="ApJ 935, 167",
        fields=_paper("The Astrophysical Journal", "935", "167"),
        doi="10.3847/1538-4357/ac7c74",
    ),
    Reference(
        key="Pedregosa2011",
        why="scikit-learn",
        kind="article",
        author="Pedregosa, Fabian and others",
        title="Scikit-learn: Machine Learning in Python",
        year="2011",
        venue="JMLR 12, 2825",
        fields=_paper("Journal of Machine Learning Research", "12", "2825-2830"),
        url="https://www.jmlr.org/papers/v12/pedregosa11a.html",
    ),
)


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
        entries = "\n\n".join(_bibtex(reference) for reference in REFERENCES)
        return (
            f"% Legacy Surveys, text to include: {SURVEY_ACKNOWLEDGMENT}\n\n{entries}"
        )
    if style == "text":
        lines = "\n".join(_line(reference) for reference in REFERENCES)
        return (
            "If dmagnet helped your work, please cite what you used of:\n\n"
            f"{lines}\n\nWith images of the Legacy Surveys, include their "
            f"acknowledgment: {SURVEY_ACKNOWLEDGMENT}"
        )
    raise ConfigError(f"style: expected text or bibtex, got {style!r}")


def _line(reference: Reference) -> str:
    authors = reference.author.replace(" and others", " et al.")
    authors = authors.replace(" and ", "; ").translate({ord("{"): "", ord("}"): ""})
    where = f"https://doi.org/{reference.doi}" if reference.doi else reference.url
    parts = f"{authors} ({reference.year}): {reference.title}. {reference.venue}"
    return f"- {reference.why}: {parts}. {where}".rstrip()


def _bibtex(reference: Reference) -> str:
    fields = {
        "author": reference.author,
        "title": f"{{{reference.title}}}",
        "year": reference.year,
        **dict(reference.fields),
        "doi": reference.doi,
        "url": reference.url,
    }
    lines = [
        f"  {name} = {{{value.replace('-', '--') if name == 'pages' else value}}},"
        for name, value in fields.items()
        if value
    ]
    return "\n".join([f"@{reference.kind}{{{reference.key},", *lines, "}"])

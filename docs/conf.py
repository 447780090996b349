"""Sphinx configuration; the site builds without a network."""

import os
from dataclasses import fields
from typing import Annotated, Literal, get_args, get_origin

from dmagnet import __version__

project = "dmagnet"
author = "The dmagnet developers"
copyright = "2026, The dmagnet developers"
version = release = __version__

extensions = [
    "myst_nb",  # Markdown, and notebooks, which are executed
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # as numpydoc's `single backticks` mean it

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # s a cell; all take 1 to 5 minutes on two cores
nb_output_stderr = "remove"  # progress

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

copybutton_prompt_text = "$ "

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"dmagnet {release}"

if "READTHEDOCS" in os.environ:  # the inventories need the network
    intersphinx_mapping = {
        "astropy": ("https://docs.astropy.org/en/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }


def write_knobs(_app, _what, _name, obj, _options, lines):
    """List the knobs of a configuration, which stand in its annotations."""
    if not (isinstance(obj, type) and obj.__module__ == "dmagnet.config"):
        return
    knobs = [knob for knob in fields(obj) if get_origin(knob.type) is Annotated]
    lines += ["", "Parameters", "----------"]
    for knob in knobs:
        kind, doc = get_args(knob.type)[:2]
        if get_origin(kind) is Literal:
            kind = f"{{{', '.join(map(repr, get_args(kind)))}}}"
        else:
            kind = (get_origin(kind) or kind).__name__
        lines += [f"{knob.name} : {kind}, default {knob.default!r}"]
        lines += [f"    {doc.documentation}"]


def hide_knobs(_app, what, name, *_):
    """Leave the signatures of configurations empty: `write_knobs` tells more."""
    hidden = what == "class" and name.startswith("dmagnet.config.")
    return ("", None) if hidden else None


def setup(app):
    """Connect both."""
    app.connect("autodoc-process-docstring", write_knobs, priority=400)  # then numpydoc
    app.connect("autodoc-process-signature", hide_knobs)

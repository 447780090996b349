"""Sphinx configuration; the site builds without a network."""

import os

from dmagnet import __version__

project = "dmagnet"
author = "The dmagnet developers"
copyright = "2026, The dmagnet developers"
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # as numpydoc's `single backticks` mean it

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"dmagnet {release}"

if "READTHEDOCS" in os.environ:  # the inventories need the network
    intersphinx_mapping = {
        "astropy": ("https://docs.astropy.org/en/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

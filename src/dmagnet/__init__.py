"""Interpretable galaxy morphology: DMAGNet and a Deep Dream that measures."""

import sys
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__version__ = "0.1.0.dev0"

# Loaded when first asked for: `import dmagnet` must not cost seconds of torch.
_PUBLIC = {
    "DMAGNet": "dmagnet.network",
    "load": "dmagnet.network",
    "load_galaxies": "dmagnet.galaxies",
    "recipe": "dmagnet.config.recipes",
    "fit": "dmagnet.training.fit",
    "nearest": "dmagnet.classifying",
    "write_pages": "dmagnet.reporting.galaxy_pages",
    # the verbs of the command line
    "demo": "dmagnet.cli.demo",
    "fetch": "dmagnet.galaxies.download",
    "prepare": "dmagnet.galaxies.repack",
    "audit": "dmagnet.galaxies.same_galaxy:audit_file",
    "simulate": "dmagnet.simulator",
    "train": "dmagnet.cli.verbs",
    "evaluate": "dmagnet.cli.verbs",
    "failures": "dmagnet.cli.verbs",
    "calibrate": "dmagnet.cli.verbs",
    "cutouts": "dmagnet.classifying.cutout_run:write_cutouts",
    "classify": "dmagnet.classifying",
    "embed": "dmagnet.cli.verbs",
    "export": "dmagnet.exporting:export_onnx",
    "explain": "dmagnet.explaining",
    "page": "dmagnet.reporting.galaxy_pages:write_pages",
    "dream": "dmagnet.dreaming.runs",
    "redream": "dmagnet.dreaming.runs",
    "measure": "dmagnet.measuring.study_folder",
    "report": "dmagnet.reporting:report_run",
    "cite": "dmagnet.cli.cite:citation",
}

__all__ = ["__version__"]
__all__ += list(_PUBLIC)


# What rooms were called before; scripts that import from them go on. Some have the name
# of a verb, which Python's import would hide: these can be called as well.
_BEFORE = {
    "images": "pictures", "tables": "pictures.tables", "sources": "pictures.inputs",
    "simulate": "simulator", "data": "galaxies", "augment": "galaxies.augment",
    "calibrate": "calibration", "model": "network", "weights": "network",
    "checkpoint": "network.checkpoint", "train": "training", "evaluate": "judging",
    "predict": "judging.predict", "trust": "judging.trust", "export": "exporting",
    "catalog": "classifying", "survey": "classifying", "dreams": "dreaming",
    "gallery": "dreaming", "measures": "measuring", "evidence": "explaining",
    "report": "reporting", "galaxy": "reporting", "assess": "reporting.assess",
    "failures": "reporting.failures", "recipes": "config.recipes", "cite": "cli.cite",
    "demo": "cli.demo",
}  # fmt: skip


class _Room(ModuleType):
    """A room by the name that it had before."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the verb of that name."""
        return __getattr__(self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Renamed:
    """Find rooms by the names that they had before."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Know old names only."""
        parent, _dot, name = fullname.rpartition(".")
        known = parent == "dmagnet" and name in _BEFORE
        # `importlib.abc` has the base of such classes, and costs 4 ms of each start.
        return ModuleSpec(fullname, self) if known else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a module that can be called."""
        return _Room(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Hand on what is asked for."""
        now = import_module(f"dmagnet.{_BEFORE[module.__name__.rpartition('.')[2]]}")
        vars(module)["__getattr__"] = partial(getattr, now)


sys.meta_path.append(_Renamed())


def _lazily(package: str, homes: dict[str, str] | None = None) -> Callable[[str], Any]:
    """Load what a package exports when it is first asked for."""

    def _load(name: str) -> Any:
        home = (_told(package) if homes is None else homes).get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from dmagnet.storage.environment import loading

        module, _colon, called = home.partition(":")
        with loading():
            return getattr(import_module(module), called or name)

    return _load


@cache
def _told(package: str) -> dict[str, str]:
    """Read what a package exports off its imports for type checkers: one list."""
    import pkgutil
    import re

    source = (pkgutil.get_data(package, "__init__.py") or b"").decode()
    return {
        n: home for home, n in re.findall(r"^    from (\S+) import (\w+)", source, re.M)
    }


_load_public = _lazily("dmagnet", _PUBLIC)


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    return import_module("dmagnet.config") if name == "config" else _load_public(name)


def __dir__() -> list[str]:
    """Name what there is to complete."""
    return [*__all__, "config"]

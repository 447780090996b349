"""The one door: find the verb, parse what follows, call it, choose an exit status."""

import difflib
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import tyro
from tyro.conf import DisallowNone, OmitArgPrefixes, PositionalMetavarFromFieldName

from dmagnet import __version__
from dmagnet.cli.app import app
from dmagnet.cli.classify import classify, cutouts
from dmagnet.cli.dream import dream, measure, redream
from dmagnet.cli.embed import embed
from dmagnet.cli.explain import explain
from dmagnet.cli.export import export
from dmagnet.cli.judge import calibrate, evaluate, failures
from dmagnet.cli.report import page, report
from dmagnet.cli.screen import (
    mute,
    notes_printed,
    open_streams,
    say,
    termination_as_interrupt,
)
from dmagnet.cli.train import audit, cite, demo, fetch, prepare, simulate, train
from dmagnet.config.dream_config import DreamConfig
from dmagnet.config.recipes import as_trained
from dmagnet.config.recipes import recipe as recipe_named
from dmagnet.errors import DmagnetError
from dmagnet.storage.disk import refuse_replacing

SHELLS = ("bash", "zsh", "tcsh")
INTERRUPTED = 130  # what shells expect after Ctrl-C

VERBS: dict[str, Callable[..., None]] = {
    verb.__name__: verb
    for verb in (
        *(demo, fetch, prepare, audit, simulate, train, evaluate, failures, calibrate),
        *(cutouts, classify, embed, export, explain, page, dream, redream, measure),
        *(report, app, cite),
    )
}
IN_PLACE = (calibrate, evaluate, failures, report)  # may write where weights lie
# Cut-outs have knobs of the same name.
PREFIXED = ("cutouts", "classify", "embed", "explain", "page", "app")


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments after the program's name.

    Returns
    -------
    int
        Exit status.
    """
    argv = sys.argv[1:] if argv is None else argv
    mute("--quiet" in argv)
    argv = [word for word in argv if word != "--quiet"]
    close_streams = open_streams()
    with notes_printed():
        known = bool(argv) and argv[0] in VERBS
        status = _run(argv[0], argv[1:]) if known else _greet(argv)
    if trouble := close_streams():
        say(f"dmagnet: the work is done, but could not be printed ({trouble})")
        return status or 1
    return status


def _greet(argv: list[str]) -> int:
    """Answer what is no verb."""
    if not argv or argv[0] in ("-h", "--help"):
        _print_overview(sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(__version__)
        return 0
    if argv[0] == "help" and set(argv[1:2]) <= set(VERBS):
        return main([*argv[1:2], "--help"])
    if argv[0] == "completion":
        return _print_completion(argv[1:])
    wrong = argv[1] if argv[0] == "help" else argv[0]
    near = difflib.get_close_matches(wrong, VERBS, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    say(f"dmagnet: no verb {wrong!r}; {meant}dmagnet --help lists them")
    return 2


def _print_completion(shells: list[str]) -> int:
    """Print the script that lets a shell complete verbs and flags."""
    if len(shells) != 1 or shells[0] not in SHELLS:
        say(f"dmagnet: expected dmagnet completion {' or '.join(SHELLS)}")
        return 2
    tyro.extras.subcommand_cli_from_dict(
        VERBS,
        prog="dmagnet",
        args=["--tyro-print-completion", shells[0]],
        config=(OmitArgPrefixes,),
    )
    return 0


def _run(verb: str, argv: list[str]) -> int:
    """Parse what follows the verb, call it, and choose the exit status."""
    try:
        with termination_as_interrupt():
            tyro.cli(
                _with_defaults(VERBS[verb], _defaults_in(verb, argv)),
                args=argv,
                prog=f"dmagnet {verb}",
                config=prefixes(verb),
            )
    except DmagnetError as error:
        say(f"dmagnet: {error}")
        return 1
    except KeyboardInterrupt:
        say("\ndmagnet: stopped; the same command goes on from here")
        return INTERRUPTED
    return 0


def prefixes(verb: str) -> tuple[Any, ...]:
    """Choose how the flags of a verb are spelled."""
    spelled = () if verb in PREFIXED else (OmitArgPrefixes,)
    # Only `train --radii None` undoes what a recipe sets.
    never = () if verb == "train" else (DisallowNone,)
    return PositionalMetavarFromFieldName, *spelled, *never


def _defaults_in(verb: str, argv: list[str]) -> dict[str, Any]:
    """Find the flags from which other defaults follow."""
    if verb == "train":
        return _training_in(argv)
    if verb == "dream" and "--plain" in argv:
        return {"config": DreamConfig.plain()}
    return {}


def _training_in(argv: list[str]) -> dict[str, Any]:
    """Find recipe and weights to start from: other defaults follow from them."""
    start = _value_in(argv, "--from")
    name = _value_in(argv, "--recipe") or ("finetune" if start else "laptop")
    config = recipe_named(name)
    if start:
        from dmagnet.network.bundled import load

        config = as_trained(config, load(start).config)
    return {"config": config, "recipe": name}


def _value_in(argv: list[str], flag: str) -> str | None:
    """Read one flag before the others are."""
    for i, word in enumerate(argv):
        if word == flag and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def _with_defaults(verb: Callable[..., None], defaults: dict[str, Any]) -> Any:
    """Return the verb with other defaults for keyword arguments."""
    import inspect
    from functools import wraps

    @wraps(verb)
    def _call(*args: Any, **kwargs: Any) -> None:
        if verb not in IN_PLACE and isinstance(out := kwargs.get("out"), Path):
            given = [*args, *kwargs.values()]
            read = [one for each in given for one in _paths(each) if one is not out]
            refuse_replacing(out, *read)
        verb(*args, **kwargs)

    # tyro keeps the line breaks of descriptions, and looks for a wrapped function first
    del _call.__wrapped__
    _call.__doc__ = re.sub(
        r"(?m)^ {8}\S.*(?:\n {8}\S.*)+",
        lambda found: " " * 8 + " ".join(found[0].split()),
        verb.__doc__ or "",
    )
    signature = inspect.signature(verb)
    _call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            p.replace(default=defaults[p.name]) if p.name in defaults else p
            for p in signature.parameters.values()
        ]
    )
    return _call


def _paths(given: Any) -> list[Path | str]:
    """List the paths among what a verb was given."""
    each = given if isinstance(given, tuple) else (given,)
    return [one for one in each if isinstance(one, Path | str)]


def _print_overview(stream: TextIO) -> None:
    print(
        "usage: dmagnet VERB ...   (dmagnet VERB --help tells the rest)\n", file=stream
    )
    width = shutil.get_terminal_size().columns
    for name, verb in VERBS.items():
        line = f"  {name:10} {(verb.__doc__ or '').splitlines()[0]}"
        print(textwrap.fill(line, width, subsequent_indent=" " * 13), file=stream)
    print(
        "\nWith any verb, --quiet shows neither progress nor notes.\n"
        f"dmagnet completion {'|'.join(SHELLS)} prints a script for your shell.",
        file=stream,
    )

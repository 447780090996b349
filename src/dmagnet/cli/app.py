"""The verb that opens a page in the browser."""

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from dmagnet.cli.classify import CutoutFlags
from dmagnet.cli.screen import print_notes, termination_as_interrupt
from dmagnet.config.app_config import AppConfig
from dmagnet.config.classify_config import DEFAULT

TILES = CutoutFlags(**vars(AppConfig().cutout))


@dataclass(frozen=True, kw_only=True)
class AppFlags(AppConfig):
    """Where to listen, and how much to let people do; cut-outs need a prefix."""

    cutout: CutoutFlags = TILES


APP = AppFlags()


def app(
    config: Annotated[AppFlags, arg(name="")] = APP,
    *,
    weights: str = DEFAULT,
    device: Literal["auto", "cpu", "gpu"] = "auto",
) -> None:
    """Classify, explain and dream galaxies on a page in the browser.

    Parameters
    ----------
    config : AppFlags
        Where to listen, and how much to let people do.
    weights : str
        Weights of the package, s or xs; or a run folder or .safetensors file.
    device : str
        Where the network runs.
    """
    from dmagnet.app import serving
    from dmagnet.app.limits import LOCAL

    print("Loading the network...", flush=True)
    served = None
    try:
        with (
            termination_as_interrupt(),
            serving(config, weights=weights, device=device) as served,
        ):
            if config.host not in LOCAL:
                line = "whoever reaches this machine may use the page; it has no login"
                print_notes([line])
            print(f"Open {served.url} in a browser; Ctrl-C ends it.", flush=True)
            served.wait()
    except KeyboardInterrupt:  # the way to end it
        print("\nEnded; nothing was kept.", flush=True)
    if served:  # among threads of torch Python would end with a crash, or never
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(0)

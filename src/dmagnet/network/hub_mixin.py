"""The three methods that users of the Hugging Face hub look for on a network."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from dmagnet.config.train_config import TrainConfig


class Pretrained:
    """What a network inherits to be shared by name.

    Attributes
    ----------
    about : Checkpoint or None
        Where the network came from, if `from_pretrained` made it: classes, settings,
        calibration, provenance.

    Notes
    -----
    The work is done by `dmagnet.network.hub`, a later chapter, found when it is asked
    for: the network itself needs no hub.
    """

    about: Any = None

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> Self:
        """Load a network from the package, a folder or the hub.

        Parameters
        ----------
        source : str or Path
            ``s`` or ``xs`` for the weights in the package; a folder that
            `save_pretrained` or a training wrote; or a repository of the hub, as
            ``owner/name``.
        **options : Any
            Of `dmagnet.network.hub.from_pretrained`: revision, token, cache folder.

        Returns
        -------
        Self
            In evaluation mode, on the CPU; `about` says what its outputs mean.

        Raises
        ------
        CheckpointError
            If there is no such thing, or it is not one of ours and whole.
        ConfigError
            If a repository is asked for and ``dmagnet[hub]`` is not installed.
        """
        found = _hub().from_pretrained(source, **options)
        network: Self = found.model
        network.about = found
        return network

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        class_names: Sequence[str] | None = None,
        config: TrainConfig | None = None,
    ) -> Path:
        """Write the network into a folder, as a repository of the hub holds it.

        Parameters
        ----------
        folder : str or Path
            Made if it is missing.
        class_names : sequence of str, optional
            Name of each output; if not given, those it was loaded with.
        config : TrainConfig, optional
            How images are prepared; if not given, as it was loaded with.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ConfigError
            If it is not known what the outputs mean.
        CheckpointError
            If the disk refuses.
        """
        checkpoint = _hub().described(self, class_names, config)
        path: Path = _hub().save_pretrained(checkpoint, Path(folder))
        return path

    def push_to_hub(
        self,
        repo_id: str,
        *,
        class_names: Sequence[str] | None = None,
        config: TrainConfig | None = None,
        **options: Any,
    ) -> str:
        """Upload the network to the hub.

        Parameters
        ----------
        repo_id : str
            ``owner/name``; made if it is missing.
        class_names : sequence of str, optional
            Name of each output; if not given, those it was loaded with.
        config : TrainConfig, optional
            How images are prepared; if not given, as it was loaded with.
        **options : Any
            Of `dmagnet.network.hub.push_to_hub`: private, token, revision, message.

        Returns
        -------
        str
            Address of the repository.

        Raises
        ------
        ConfigError
            If ``dmagnet[hub]`` is not installed, or the outputs have no names.
        CheckpointError
            If the hub refuses.
        """
        checkpoint = _hub().described(self, class_names, config)
        address: str = _hub().push_to_hub(checkpoint, repo_id, **options)
        return address


def _hub() -> Any:
    return import_module("dmagnet.network.hub")

"""Share weights through folders and the Hugging Face hub, with all that goes along.

A repository holds the same safetensors file as everywhere (``model.safetensors``:
classes, settings, calibration and provenance are in its header), a ``config.json``
for those who only read, and a card. Nothing is sent that was not asked for.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from dmagnet import __version__
from dmagnet.config.checks import to_dict
from dmagnet.config.train_config import TrainConfig
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.network.bundled import BUNDLED, entry_of, model_card, package
from dmagnet.network.bundled import load as load_named
from dmagnet.network.checkpoint import Checkpoint, load, save, weights_hash
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.disk import write_whole

MODEL = "model.safetensors"
SETTINGS = "config.json"
README = "README.md"
TAGS = ("astronomy", "galaxies", "galaxy-morphology", "image-classification")


def from_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: Path | None = None,
    local_files_only: bool = False,
) -> Checkpoint:
    """Load weights from the package, a folder or the hub.

    Parameters
    ----------
    source : str or Path
        ``s`` or ``xs``; a folder that `save_pretrained` or a training wrote, or a
        file; or a repository as ``owner/name``.
    revision : str, optional
        Branch, tag or commit of the repository.
    token : str or bool, optional
        As in huggingface_hub; if not given, the one you are logged in with.
    cache_dir : Path, optional
        Where downloads are kept; if not given, where huggingface_hub keeps them.
    local_files_only : bool
        Do not ask the network.

    Returns
    -------
    Checkpoint
        Network, classes, settings, calibration.

    Raises
    ------
    CheckpointError
        If there is no such thing, or it is not one of ours and whole.
    ConfigError
        If a repository is asked for and ``dmagnet[hub]`` is not installed.
    """
    path = Path(source)
    if path.is_dir() and (path / MODEL).is_file():
        return load(path / MODEL)
    if path.exists() or isinstance(source, Path):
        return load(path)
    if str(source) in BUNDLED or str(source).count("/") != 1:
        return load_named(source)
    with _the_hub(str(source)) as hub:
        file = hub.hf_hub_download(
            str(source),
            MODEL,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            library_name="dmagnet",
            library_version=__version__,
        )
    return load(Path(file))


def save_pretrained(
    checkpoint: Checkpoint, folder: Path, *, license_id: str | None = None
) -> Path:
    """Write weights into a folder as a repository of the hub holds them.

    Parameters
    ----------
    checkpoint : Checkpoint
        Network, classes, settings, calibration.
    folder : Path
        Made if it is missing.
    license_id : str, optional
        The hub's name of your license, for the head of the card.

    Returns
    -------
    Path
        The folder: ``model.safetensors``, ``config.json``, ``README.md``.

    Raises
    ------
    CheckpointError
        If the disk refuses.
    """
    folder = Path(folder)
    save(folder / MODEL, checkpoint)
    settings = {
        "library_name": "dmagnet",
        "dmagnet": __version__,
        "weights_hash": weights_hash(checkpoint.model),
        "class_names": list(checkpoint.class_names),
        "config": to_dict(checkpoint.config),
    }
    text = json.dumps(settings, indent=1, ensure_ascii=False)
    write_whole(folder / SETTINGS, f"{text}\n".encode())
    write_whole(folder / README, card(checkpoint, license_id=license_id).encode())
    return folder


def push_to_hub(
    checkpoint: Checkpoint,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    message: str = "Upload weights of dmagnet",
    license_id: str | None = None,
) -> str:
    """Upload weights with their card.

    Parameters
    ----------
    checkpoint : Checkpoint
        Network, classes, settings, calibration.
    repo_id : str
        ``owner/name``; made if it is missing.
    private : bool, optional
        Whether a new repository is; if not given, as your account has it.
    token : str or bool, optional
        As in huggingface_hub; if not given, the one you are logged in with.
    revision : str, optional
        Branch to write to; if not given, main.
    message : str
        Of the commit.
    license_id : str, optional
        The hub's name of your license, for the head of the card.

    Returns
    -------
    str
        Address of the repository.

    Raises
    ------
    ConfigError
        If ``dmagnet[hub]`` is not installed.
    CheckpointError
        If the hub refuses, or the disk.
    """
    with TemporaryDirectory() as made, _the_hub(repo_id) as hub:
        folder = save_pretrained(checkpoint, Path(made) / "repo", license_id=license_id)
        api = hub.HfApi(library_name="dmagnet", library_version=__version__)
        address = api.create_repo(repo_id, private=private, token=token, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=message,
            token=token,
            revision=revision,
        )
    return str(address)


def described(
    network: DMAGNet,
    class_names: Sequence[str] | None = None,
    config: TrainConfig | None = None,
) -> Checkpoint:
    """Add to a network what its outputs mean, and how its images are prepared.

    Parameters
    ----------
    network : DMAGNet
        Perhaps from `DMAGNet.from_pretrained`, which remembers both.
    class_names : sequence of str, optional
        Name of each output; if not given, as remembered.
    config : TrainConfig, optional
        If not given, as remembered.

    Returns
    -------
    Checkpoint
        A calibration that is remembered is kept as long as no weight and no name has
        changed.

    Raises
    ------
    ConfigError
        If nothing is remembered and something is not given, or there is not one name
        for each output.
    """
    about: Checkpoint | None = network.about
    names = tuple(class_names or (about.class_names if about else ()))
    config = config or (about.config if about else None)
    if config is None or len(names) != network.config.num_classes:
        raise ConfigError(
            f"class_names, config: expected a name for each of the "
            f"{network.config.num_classes} outputs and a TrainConfig, got "
            f"{len(names)} names and {'a' if config else 'no'} TrainConfig; give both, "
            "or take a network that from_pretrained loaded"
        )
    config = replace(config, model=network.config)
    made = about or Checkpoint(network, config, names)
    made = replace(made, model=network, config=config, class_names=names)
    if about and (names, weights_hash(network)) == (
        about.class_names,
        about.weights_hash,
    ):
        return made
    provenance = {"parent": about.weights_hash} if about else {}
    return replace(made, provenance=provenance, calibration=None, weights_hash="")


def card(checkpoint: Checkpoint, *, license_id: str | None = None) -> str:
    """Write the card that a repository shows.

    Parameters
    ----------
    checkpoint : Checkpoint
        Network, classes, settings.
    license_id : str, optional
        The hub's name of your license.

    Returns
    -------
    str
        Markdown under a head of YAML. Weights of the package bring their own card.
    """
    head: dict[str, Any] = {
        "library_name": "dmagnet",
        "pipeline_tag": "image-classification",
        "tags": list(TAGS),
        **({"license": license_id} if license_id else {}),
    }
    # JSON is YAML, and quotes what needs it.
    lines = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
    body = _own_card(checkpoint) or _plain_card(checkpoint)
    return "\n".join(["---", *lines, "---", "", body])


def _own_card(checkpoint: Checkpoint) -> str:
    """Return the card of the package, if these are its weights."""
    own = weights_hash(checkpoint.model)
    hashes = [entry_of(package(), name)["weights_hash"] for name in BUNDLED]
    return model_card() if own in hashes else ""


def _plain_card(checkpoint: Checkpoint) -> str:
    """Describe any weights."""
    config, provenance = checkpoint.config, checkpoint.provenance
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    view = f"{config.image_size} px"
    if config.radii:
        view += f", {config.radii:g} isophotal radii wide, one size and brightness"
    known = [
        ("version", f"trained with dmagnet {provenance.get('version')}"),
        ("date", f"on {provenance.get('date')}"),
        ("num_train", f"{provenance.get('num_train')} training images"),
        ("data_hash", f"fingerprint of the data {provenance.get('data_hash')}"),
    ]
    calibrated = checkpoint.calibration is not None
    return "\n".join(
        [
            f"# DMAGNet-{config.model.size}",
            "",
            f"A galaxy classifier of {parameters / 1e6:.2f} M parameters, made with "
            f"dmagnet {__version__}.",
            "",
            "```python",
            "from dmagnet import DMAGNet",
            "",
            'network = DMAGNet.from_pretrained("owner/name")',
            "print(network.about.class_names)",
            "```",
            "",
            f"- view: {view}",
            f"- probabilities calibrated: {'yes' if calibrated else 'no'}",
            *(f"- {line}" for key, line in known if key in provenance),
            f"- hash of the weights: `{weights_hash(checkpoint.model)}`",
            "",
            "| output | class |",
            "|---|---|",
            *(f"| {k} | {name} |" for k, name in enumerate(checkpoint.class_names)),
            "",
        ]
    )


@contextmanager
def _the_hub(repo_id: str) -> Iterator[Any]:
    """Lend the library of the hub; say in one line what is missing or refused."""
    try:
        import huggingface_hub as hub
        from huggingface_hub import constants
        from huggingface_hub.errors import EntryNotFoundError, HFValidationError
    except ImportError as error:
        raise ConfigError(
            f"{repo_id}: a repository of the hub needs huggingface_hub; install it "
            "with pip install 'dmagnet[hub]' (a local folder works without it)"
        ) from error
    told = constants.HF_HUB_DISABLE_TELEMETRY
    constants.HF_HUB_DISABLE_TELEMETRY = True  # who asks, and with what, is not told
    try:
        yield hub
    except (
        *(OSError, httpx2.HTTPError, json.JSONDecodeError),
        *(EntryNotFoundError, HFValidationError),
    ) as error:
        line = next((line for line in str(error).splitlines() if line.strip()), "")
        raise CheckpointError(
            f"{repo_id}: the hub did not do it ({line or type(error).__name__}); look "
            "at name, login ('hf auth login') and network, or give a local folder"
        ) from error
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = told

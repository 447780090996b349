"""Networks shared through folders and the hub keep all that goes along."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hub_server import hub_server

from dmagnet import DMAGNet
from dmagnet import network as weights
from dmagnet.calibration import Calibration
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.network.checkpoint import Checkpoint, save, weights_hash
from dmagnet.network.hub import card, from_pretrained, save_pretrained

NAMES = ("round", "cigar: long", "é <c>")


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    config = TrainConfig(
        image_size=64, radii=3.0, model=ModelConfig(size="xs", num_classes=3)
    )
    made = Checkpoint(
        DMAGNet(config.model).eval(), config, NAMES, {"version": "0.1", "num_train": 60}
    )
    return replace(made, calibration=Calibration(1.5, (0.1, 0.05), None, {"n": 60}))


def same(found, wanted):
    assert weights_hash(found.model) == weights_hash(wanted.model)
    assert found.config == wanted.config
    assert found.class_names == wanted.class_names
    assert vars(found.calibration) == vars(wanted.calibration)
    assert found.provenance == wanted.provenance


def test_a_folder_keeps_network_classes_settings_and_calibration(checkpoint, tmp_path):
    save_pretrained(checkpoint, tmp_path / "mine")
    same(from_pretrained(tmp_path / "mine"), checkpoint)
    same(from_pretrained(str(tmp_path / "mine")), checkpoint)


def test_the_settings_beside_the_weights_are_readable_without_dmagnet(
    checkpoint, tmp_path
):
    save_pretrained(checkpoint, tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["class_names"] == list(NAMES)
    assert content["weights_hash"] == weights_hash(checkpoint.model)
    assert content["config"]["radii"] == 3.0


def test_a_network_from_a_folder_saves_itself_with_what_it_remembers(
    checkpoint, tmp_path
):
    save_pretrained(checkpoint, tmp_path / "one")
    network = DMAGNet.from_pretrained(tmp_path / "one")
    assert network.about.class_names == NAMES
    same(from_pretrained(network.save_pretrained(tmp_path / "two")), checkpoint)


def test_a_network_whose_weights_changed_loses_its_calibration(checkpoint, tmp_path):
    save_pretrained(checkpoint, tmp_path / "one")
    network = DMAGNet.from_pretrained(tmp_path / "one")
    with torch.no_grad():
        network.head.bias += 1
    found = from_pretrained(network.save_pretrained(tmp_path / "two"))
    assert found.calibration is None
    assert found.provenance == {"parent": weights_hash(checkpoint.model)}
    assert found.class_names == NAMES


def test_an_own_network_needs_names_for_its_outputs(checkpoint, tmp_path):
    network = DMAGNet(checkpoint.config.model).eval()
    with pytest.raises(ConfigError, match="a name for each of the 3 outputs"):
        network.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="got 2 names"):
        network.save_pretrained(
            tmp_path, class_names=("a", "b"), config=checkpoint.config
        )
    network.save_pretrained(tmp_path, class_names=NAMES, config=checkpoint.config)
    assert from_pretrained(tmp_path).class_names == NAMES


def test_run_folders_and_bundled_weights_are_pretrained_too(checkpoint, tmp_path):
    save(tmp_path / "weights.safetensors", checkpoint)
    same(DMAGNet.from_pretrained(tmp_path).about, checkpoint)
    assert (
        DMAGNet.from_pretrained("xs").about.weights_hash
        == weights.load("xs").weights_hash
    )


def test_an_altered_file_in_a_folder_is_refused(checkpoint, tmp_path):
    save_pretrained(checkpoint, tmp_path)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="altered"):
        from_pretrained(tmp_path)


def test_the_card_has_a_head_that_the_hub_reads(checkpoint, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    save_pretrained(checkpoint, tmp_path, license_id="bsd-3-clause")
    data = hub.ModelCard.load(tmp_path / "README.md").data
    assert data.library_name == "dmagnet"
    assert data.license == "bsd-3-clause"
    assert "astronomy" in data.tags


def test_the_weights_of_the_package_bring_their_own_card():
    assert card(weights.load("xs")).endswith(weights.model_card())


PROGRAM = """
import json
import sys
from dmagnet import DMAGNet
from dmagnet.errors import CheckpointError


def answer(action):
    try:
        said = action()
    except CheckpointError as error:
        said = f"refused: {error}"
    print(json.dumps(said))


def pull(name):
    about = DMAGNet.from_pretrained(name).about
    return [about.weights_hash, *about.class_names, about.calibration.temperature]


def push(token):
    network = DMAGNet.from_pretrained(sys.argv[1])
    return network.push_to_hub("me/galaxies", token=token, private=True)


answer(lambda: push("hf_secret"))
answer(lambda: pull("me/galaxies"))
answer(lambda: pull("me/none"))
answer(lambda: push("hf_wrong"))
"""


@pytest.fixture(scope="module")
def hub(checkpoint, tmp_path_factory):
    """A hub on this machine, and what it said in a process that knows no other."""
    pytest.importorskip("huggingface_hub")
    home = tmp_path_factory.mktemp("home")
    save_pretrained(checkpoint, home / "mine")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    with hub_server() as server:
        settings = {"HF_ENDPOINT": server.address, "HF_HOME": str(home)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(home / "mine")],
            env=clean | settings | {"HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        server.pushed, server.pulled, *server.refused = answers
        yield server


def test_a_push_leaves_weights_settings_and_card(hub):
    assert hub.pushed == f"{hub.address}/me/galaxies"
    files = hub.repos["me/galaxies"]
    assert {"model.safetensors", "config.json", "README.md"} <= set(files)


def test_what_was_pushed_comes_back_whole(hub, checkpoint):
    assert hub.pulled == [weights_hash(checkpoint.model), *NAMES, 1.5]


def test_nothing_is_asked_of_the_hub_but_the_repository(hub):
    for line in hub.requests:
        path = line.split()[1]
        known = ("/api/repos/create", "/api/validate-yaml", "/api/models/me/galaxies")
        known += ("/me/galaxies/resolve/", "/api/models/me/none", "/me/none/resolve/")
        assert path.startswith(known), line


@pytest.mark.parametrize(("number", "name"), [(0, "me/none"), (1, "me/galaxies")])
def test_a_refusal_of_the_hub_is_one_line(hub, number, name):
    line = hub.refused[number]
    assert line.startswith(f"refused: {name}: the hub did not do it")
    assert "\n" not in line


def test_without_the_extra_a_repository_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"pip install 'dmagnet\[hub\]'"):
        from_pretrained("me/x")


def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        from_pretrained(Path("me/galaxies"))
    with pytest.raises(CheckpointError, match="no such file"):
        from_pretrained(str(tmp_path / "none"))

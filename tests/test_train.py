"""Training: it learns, it is reproducible, and a run folder belongs to one run."""

import csv
import json
import logging
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from blobs import CONFIG, blobs
from PIL import Image

from dmagnet.calibration import Calibration
from dmagnet.cli.verbs import train
from dmagnet.config import AugmentConfig, TrainConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.judging.predict import predict
from dmagnet.network.checkpoint import load, save
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.pictures import on_pixels
from dmagnet.storage.disk import claimed
from dmagnet.training import GalaxyBatches, TrainingModule, fit, history
from dmagnet.training.batches import step_seed, view_size
from dmagnet.training.fit import center
from dmagnet.training.module import lr_share, mask_loss
from dmagnet.training.run_folder import enter


@pytest.fixture(scope="module")
def run(tmp_path_factory, galaxies):
    out = tmp_path_factory.mktemp("runs") / "blobs"
    fit(galaxies, CONFIG, out, accelerator="cpu", progress=False)
    return out


def test_it_learns_blobs(run, galaxies):
    val = galaxies.subset("val")
    guesses = predict(load(run).model, val.images).argmax(1)
    assert (guesses == val.labels).mean() >= 0.9


def test_the_loss_falls(run):
    rows = history(run)
    assert rows[-1]["train_loss"] < 0.7 * rows[0]["train_loss"]


def test_weights_say_where_they_come_from(run, galaxies):
    found = load(run)
    assert found.class_names == galaxies.class_names
    assert found.config.model.num_classes == 3
    assert found.provenance["data_hash"] == galaxies.data_hash
    assert found.provenance["num_train"] == 45


def test_logs_are_there_as_csv_and_for_tensorboard(run):
    with (run / "logs/version_0/metrics.csv").open() as file:
        names = csv.DictReader(file).fieldnames
    assert {"epoch", "train_loss", "val_accuracy", "val_macro_f1"} <= set(names)
    assert list((run / "tensorboard").rglob("events.out.tfevents.*"))


def test_a_finished_run_is_left_as_it_is(run, galaxies):
    before = (run / "weights.safetensors").stat().st_mtime_ns
    fit(galaxies, CONFIG, run, accelerator="cpu", progress=False)
    assert (run / "weights.safetensors").stat().st_mtime_ns == before


def test_a_finished_run_goes_on_with_more_epochs_and_says_so(
    tmp_path, galaxies, caplog
):
    caplog.set_level(logging.INFO, "dmagnet")
    rates = []

    class Rates(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"] / CONFIG.lr)

    def _fit(epochs, **changes):
        return fit(
            galaxies,
            replace(CONFIG, epochs=epochs, **changes),
            tmp_path,
            accelerator="cpu",
            progress=False,
            callbacks=[Rates()],
        )

    before = (path := _fit(1)).read_bytes()
    with pytest.raises(
        CheckpointError, match=r"another run \(lr: .* there, 0\.001 here"
    ):
        _fit(2, lr=1e-3)
    save(path, replace(load(path), calibration=Calibration(2.0)))
    _fit(2)
    assert "the calibration was of the shorter run" in caplog.text
    found = load(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() != before
    assert found.config.epochs == 2
    assert found.provenance["went_on_after"] == [1]
    assert [row["epoch"] for row in history(tmp_path)] == [0, 1]
    longer = [lr_share(step, 3, 6) for step in (4, 5, 6)]  # one epoch is three steps
    assert rates[3:] == pytest.approx(longer)
    _fit(2)
    with pytest.raises(CheckpointError, match="expected 2 epochs or more"):
        _fit(1)
    (tmp_path / "last.ckpt").unlink()
    with pytest.raises(CheckpointError, match=r"last\.ckpt to go on from, found none"):
        _fit(3)
    assert load(tmp_path).weights_hash == found.weights_hash
    assert json.loads((tmp_path / "run.json").read_text())["config"]["epochs"] == 2


def test_weights_of_no_run_are_not_replaced(tmp_path, run, galaxies):
    (tmp_path / "weights.safetensors").write_bytes(
        (run / "weights.safetensors").read_bytes()
    )
    with pytest.raises(CheckpointError, match=r"found weights without run\.json"):
        fit(galaxies, replace(CONFIG, epochs=9), tmp_path, progress=False)


def test_another_run_may_not_use_the_folder(run, galaxies):
    other = replace(CONFIG, lr=1e-3)
    with pytest.raises(CheckpointError, match=r"another run \(lr: 0.003 there, 0.001"):
        fit(galaxies, other, run, progress=False)


def test_other_data_may_not_use_the_folder(run, galaxies):
    other = replace(galaxies, data_hash="else")
    with pytest.raises(CheckpointError, match="data_hash"):
        fit(other, CONFIG, run, progress=False)


def test_two_processes_may_not_train_into_one_folder(tmp_path, galaxies):
    code = (
        "import sys, time; from pathlib import Path;"
        "from dmagnet.storage.disk import claimed\n"
        "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataError, match="another process is writing"):
            fit(galaxies, CONFIG, tmp_path, progress=False)
        other.kill()
    with claimed(tmp_path):
        pass  # a killed process holds nothing


def test_damaged_settings_are_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run\.json: expected the settings"):
        enter(tmp_path, {})


def test_a_class_without_training_images_is_named(tmp_path, galaxies):
    lacking = replace(
        galaxies,
        split=np.where(galaxies.labels == 1, 1, galaxies.split).astype(np.int8),
    )
    with pytest.raises(DataError, match="no training image of class 1"):
        fit(lacking, CONFIG, tmp_path, progress=False)


def test_images_of_another_side_are_refused(tmp_path, galaxies):
    with pytest.raises(DataError, match="images of 80 px, got 64x64x3"):
        fit(galaxies, replace(CONFIG, image_size=80), tmp_path, progress=False)


@pytest.mark.parametrize("wrong", [{"max_epochs": 1}, {"devises": 2}])
def test_arguments_that_the_trainer_does_not_take_are_refused(
    tmp_path, galaxies, wrong
):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: expected a setting"):
        fit(galaxies, CONFIG, tmp_path / "run", progress=False, **wrong)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_none_is_refused_before_the_work():
    with pytest.raises(ConfigError, match="device: expected auto, cpu or gpu, got 'tp"):
        train("no-such", "run", device="tpu")


def test_the_trainer_may_choose_the_devices(tmp_path, galaxies):
    once = replace(CONFIG, epochs=1)
    fit(galaxies, once, tmp_path, accelerator="cpu", devices="auto", progress=False)
    assert (tmp_path / "weights.safetensors").is_file()


def test_training_leaves_the_callers_random_state_and_logging_alone(run, galaxies):
    logger = logging.getLogger("lightning.pytorch")
    level, state = logger.level, torch.get_rng_state()
    out = run.parent / "again"
    fit(galaxies, replace(CONFIG, epochs=1), out, accelerator="cpu", progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert logger.level == level


def batches(galaxies, **changes):
    part = (galaxies.images, galaxies.labels)
    return GalaxyBatches(part, part, replace(CONFIG, **changes))


CPU = torch.device("cpu")


def test_an_epoch_shows_every_galaxy_once(galaxies):
    source = batches(galaxies)
    seen = torch.cat([source.draw(3, i, CPU, 0, 1)[1] for i in range(4)])
    assert torch.equal(
        seen.sort().values, torch.from_numpy(galaxies.labels).sort().values
    )


def test_processes_share_a_batch_without_overlap(galaxies):
    still = AugmentConfig(rotate=False, zoom=1, shift=0, brightness=0, gain=0, noise=0)
    source = batches(galaxies, augment=still)
    whole = source.draw(0, 1, CPU, 0, 1)[0]
    parts = [source.draw(0, 1, CPU, rank, 2)[0] for rank in range(2)]
    torch.testing.assert_close(parts[0], whole[0::2])
    torch.testing.assert_close(parts[1], whole[1::2])


def test_a_batch_follows_from_seed_epoch_and_number_alone(galaxies):
    one = batches(galaxies).draw(2, 1, CPU, 0, 1)[0]
    other = batches(galaxies)
    other.draw(0, 0, CPU, 0, 1)
    assert torch.equal(one, other.draw(2, 1, CPU, 0, 1)[0])
    assert not torch.equal(one, other.draw(3, 1, CPU, 0, 1)[0])


def test_centered_scores_have_no_mean_and_the_same_probabilities():
    model, images = DMAGNet(CONFIG.model).eval(), torch.rand(2, 3, 64, 64)
    before = model(images)
    center(model)
    after = model(images)
    torch.testing.assert_close(after.softmax(1), before.softmax(1))
    torch.testing.assert_close(after.mean(1), torch.zeros(2))


def test_masks_move_with_their_galaxies():
    galaxies = blobs(40)
    rows = galaxies.images.mean(3)
    masks = (255 * (rows > rows.mean((1, 2), keepdims=True) + 40)).astype(np.uint8)
    data = GalaxyBatches(
        (galaxies.images, galaxies.labels),
        (galaxies.images[:0], galaxies.labels[:0]),
        replace(CONFIG, augment=AugmentConfig(zoom=1.2, shift=0.1)),
        masks,
    )
    views, _, _ = data.draw(0, 0, CPU, 0, 1)
    images, moved = views[:, :3].mean(1), views[:, 3]
    inside = (images * moved).sum() / moved.sum()
    outside = (images * (1 - moved)).sum() / (1 - moved).sum()
    assert inside > outside + 0.1
    shuffled = moved.roll(1, 0)
    assert (images * shuffled).sum() / shuffled.sum() < inside


def test_the_mask_loss_is_low_on_the_mask_and_nearly_2_on_its_negative():
    masks = torch.zeros(2, 1, 32, 32)
    masks[:, :, 8:16, 8:24] = 1
    there = torch.nn.functional.adaptive_avg_pool2d(masks, 8)[:, 0]
    assert mask_loss(7 * there - 3, masks) < 0.15
    assert mask_loss(-there, masks) > 1.85
    noise = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert 0.6 < float(mask_loss(noise, masks)) < 1.4


def test_evidence_is_drawn_where_its_mask_was():
    at = torch.arange(128.0)
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    masks = torch.exp(-((rows - 43) ** 2 + (columns - 77) ** 2) / 200)[None, None]
    evidence = torch.zeros(1, 16, 16, requires_grad=True)
    optimizer = torch.optim.Adam([evidence], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        mask_loss(evidence, masks).backward()
        optimizer.step()
    drawn = torch.from_numpy(on_pixels(evidence.detach().numpy()[0], (128, 128)))
    light = (drawn - drawn.median()).clamp(min=0.5 * (drawn.max() - drawn.median()))
    light = light - light.min()
    middle = [(light * at).sum() / light.sum() for at in (rows, columns)]
    assert middle == pytest.approx([43, 77], abs=0.5)


def test_only_galaxies_with_a_mask_pull_on_the_evidence():
    module = TrainingModule(DMAGNet(CONFIG.model), CONFIG, torch.full((10,), 0.1))
    images, targets = torch.rand(3, 3, 64, 64), torch.eye(10)[:3]
    masks = torch.zeros(3, 1, 64, 64)
    assert module._answers(images, masks, targets)[1] == 0
    assert module._answers(images, masks[:, :0], targets)[1] == 0
    masks[1, :, 20:30] = 1
    assert module._answers(images, masks, targets)[1] > 0


@pytest.mark.parametrize(("scales", "still"), [((0.75, 1.5), 3), ((1.0, 1.0), 0)])
def test_batch_statistics_of_several_sides_rest_for_the_last_three_tenths_of_the_steps(
    tmp_path, galaxies, scales, still
):
    seen = []

    class Note(L.Callback):
        def on_train_batch_end(self, trainer, module, *args):
            seen.append(module.model.stem[1].running_mean.clone())

    config = replace(CONFIG, epochs=4, scales=scales)  # twelve steps
    fit(
        galaxies, config, tmp_path / "run", accelerator="cpu", progress=False,
        callbacks=[Note()],
    )  # fmt: skip
    moved = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert moved == [True] * (11 - still) + [False] * still


def test_step_seeds_do_not_collide():
    seeds = {step_seed(s, e, n) for s in range(3) for e in range(30) for n in range(30)}
    assert len(seeds) == 3 * 30 * 30


def test_sides_of_views_fill_the_range_of_scales_evenly_in_log():
    config = TrainConfig(image_size=256, epochs=10, progressive=False)
    sides = [view_size(config, 9, number) for number in range(2000)]
    assert (min(sides), max(sides)) == (192, 384)
    assert all(side % 16 == 0 for side in sides)
    assert np.median(sides) == pytest.approx(256 * np.sqrt(0.75 * 1.5), abs=16)


def test_progressive_views_are_small_for_six_tenths_of_the_epochs():
    config = TrainConfig(image_size=256, epochs=10)
    sides = [[view_size(config, epoch, n) for n in range(200)] for epoch in range(10)]
    assert [max(some) for some in sides] == [192] * 6 + [384] * 4
    assert [min(some) for some in sides] == [128] * 6 + [192] * 4


def test_views_are_never_below_64_px_and_one_scale_is_one_side():
    config = TrainConfig(image_size=64, epochs=10)
    assert min(view_size(config, 0, number) for number in range(50)) == 64
    fixed = replace(config, scales=(1.0, 1.0), progressive=False)
    assert {view_size(fixed, e, n) for e in range(10) for n in range(10)} == {64}


@pytest.mark.parametrize("scales", [(1.5, 0.75), (0.1, 1.0), (1.0, 5.0)])
def test_scales_out_of_order_or_range_are_refused(scales):
    with pytest.raises(ConfigError, match=r"scales: expected the smallest"):
        TrainConfig(scales=scales)


def test_the_rate_rises_linearly_then_falls_as_a_cosine():
    shares = [lr_share(step, 10, 110) for step in range(110)]
    assert shares[0] == pytest.approx(1 / 11)
    assert shares[10] == 1
    assert shares[60] == pytest.approx(0.5, abs=0.01)
    assert shares[-1] < 0.01
    assert np.argmax(shares) == 10


def test_logit_adjustment_lifts_the_logits_of_common_classes_in_training():
    shares = torch.tensor([0.9, 0.1])
    module = TrainingModule(
        torch.nn.Identity(), replace(CONFIG, logit_adjustment=1.0), shares
    )
    torch.testing.assert_close(module.prior, shares.log())
    plain = TrainingModule(torch.nn.Identity(), CONFIG, shares)
    assert not plain.prior.any()


@pytest.mark.slow
def test_two_processes_over_gloo_train_one_network(tmp_path):
    for part, num in (("train", 24), ("val", 6)):
        source = blobs(num, seed=num)
        for i, (image, label) in enumerate(
            zip(source.images, source.labels, strict=True)
        ):
            folder = tmp_path / "data" / part / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")
    command = [
        *(Path(sys.executable).with_name("dmagnet"), "train", tmp_path / "data"),
        *("-o", tmp_path / "run", "--recipe", "smoke", "--batch-size", "12"),
        *("--device", "cpu", "--devices", "2", "--strategy", "ddp"),
    ]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "run").provenance["world_size"] == 2
    assert json.loads((tmp_path / "run/run.json").read_text())["config"]["epochs"] == 2

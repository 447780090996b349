"""Layers by name: all of them, read by a forward pass that stops, on a private copy."""

import pytest
import torch
from dream_nets import Foreign, conv, dmagnet_xs, foreign, galaxies
from torch import nn

from dmagnet.config import DreamConfig
from dmagnet.dreaming import (
    Energy,
    dream_frames,
    find_layer,
    layer_names,
    private_copy,
    read,
)
from dmagnet.errors import ConfigError

NAMES = dmagnet_xs().layer_names


@pytest.fixture(scope="module")
def model():
    return dmagnet_xs()


def heard(model, images, name):
    """What a layer says in a whole forward pass, without any code of dreams."""
    said = []
    handle = find_layer(model, name).register_forward_hook(
        lambda _m, _i, output: said.append(output.detach().clone())
    )
    with torch.no_grad():
        model(images)
    handle.remove()
    return said[0]


def test_dmagnet_names_stem_branches_blocks_stages_lam_and_logits():
    wanted = {"stem", "stage1.block1.d1", "stage1.block1.d4", "stage3.block4"}
    assert wanted | {"stage4", "lam", "logits"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_dmagnet_can_be_dreamed(model, name):
    config = DreamConfig.plain(steps=1, octaves=1)
    (frame,) = dream_frames(model, galaxies(), Energy(name), config)
    assert 0 < float((frame.images - galaxies()).abs().mean()) < 0.01


@pytest.mark.parametrize("name", ["early", "early.0", "late.2", "gate", "pool", "head"])
def test_a_module_of_any_network_can_be_dreamed_by_its_path(name):
    config = DreamConfig.plain(steps=1, octaves=1)
    (frame,) = dream_frames(foreign(), galaxies(), Energy(name), config)
    assert float((frame.images - galaxies()).abs().mean()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_pass_says_what_a_whole_pass_says(model, name):
    images = galaxies(2)
    assert torch.equal(read(model, images, [name])[name], heard(model, images, name))


def test_several_layers_are_read_in_one_pass_in_any_order(model):
    images = galaxies()
    names = ["lam", "stem", "stage2"]
    found = read(model, images, names)
    assert set(found) == set(names)
    assert all(torch.equal(found[n], heard(model, images, n)) for n in names)


def test_a_wrong_name_lists_the_layers_of_dmagnet(model):
    with pytest.raises(ConfigError, match=r"no layer 'stage9'.*stem, .*lam, logits"):
        read(model, galaxies(), ["stage9"])


def test_a_wrong_name_lists_the_modules_of_another_network():
    with pytest.raises(ConfigError, match=r"no layer 'stem'.*early\.0.*late.*pool"):
        read(foreign(), galaxies(), ["stem"])
    assert "early.1" in layer_names(foreign())


class Counting(nn.Identity):
    calls = 0  # of the class: copies count together

    def forward(self, x):
        Counting.calls += 1
        return x


def test_nothing_runs_behind_the_layer_that_was_asked_for():
    model = nn.Sequential(conv(3, 4), conv(4, 4), Counting(), conv(4, 4), Counting())
    Counting.calls = 0
    for _ in dream_frames(model, galaxies(), Energy("1"), DreamConfig.plain(steps=3)):
        pass
    assert Counting.calls == 0
    read(model, galaxies(), ["3"])
    assert Counting.calls == 1


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = conv(3, 4), Counting()

    def forward(self, images):
        try:
            return self.second(self.first(images))
        except Exception:  # what a network of somebody else might do
            return self.second(images)


def test_a_network_that_catches_exceptions_is_stopped_too():
    Counting.calls = 0
    assert read(Stubborn().eval(), galaxies(), ["first"])["first"].shape[1] == 4
    assert Counting.calls == 0


def norms(model):
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("build", [dmagnet_xs, foreign])
def test_the_private_copy_computes_the_same_without_its_norms(build):
    original = build()
    copied = private_copy(original)
    assert norms(copied) <= norms(original) / 5
    images = galaxies(3)
    with torch.no_grad():
        torch.testing.assert_close(
            copied(images), original(images), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", ["early.0", "early.1"])
def test_folding_leaves_a_layer_before_or_of_a_norm_what_it_is(name):
    model = foreign()
    copied = private_copy(model, [name])
    found = read(copied, galaxies(), [name])[name]
    assert torch.equal(found, heard(model, galaxies(), name))
    assert norms(copied) == norms(model) - 1


def test_layers_that_follow_do_not_write_into_what_was_read():
    model = foreign()
    found = read(model, galaxies(), ["early.1", "late"])["early.1"].detach()
    assert float(found.min()) < 0  # the ReLU behind works in place
    assert torch.equal(found, heard(model, galaxies(), "early.1"))


def test_the_copy_is_frozen_and_in_evaluation_mode_whatever_the_original_is():
    original = foreign().train()
    copied = private_copy(original)
    assert not any(module.training for module in copied.modules())
    assert not any(weight.requires_grad for weight in copied.parameters())
    assert all(module.training for module in original.modules())
    assert all(weight.requires_grad for weight in original.parameters())


def test_hooks_of_the_user_are_not_called_and_not_lost():
    model = foreign()
    calls = []
    for module in model.modules():
        module.register_forward_hook(lambda *_: calls.append(1))
        module.register_forward_pre_hook(lambda *_: calls.append(2))
    model.head.register_full_backward_hook(lambda *_: calls.append(3))
    for _ in dream_frames(
        model, galaxies(), Energy("late"), DreamConfig.plain(steps=2)
    ):
        pass
    assert calls == []
    model(galaxies()).sum().backward()
    assert {1, 2, 3} == set(calls)


class Recorder:
    """Keeps what no deep copy can: a tensor inside a graph."""

    def __init__(self, model):
        model.early.register_forward_hook(self.keep)
        model(galaxies())

    def keep(self, _module, _inputs, output):
        self.kept = output


def test_hooks_that_hold_a_graph_do_not_keep_a_network_from_being_copied():
    model = foreign()
    recorder = Recorder(model)
    assert recorder.kept.grad_fn is not None
    assert norms(private_copy(model)) == 0


def test_a_layer_that_is_never_called_is_named():
    with pytest.raises(ConfigError, match=r"'unused' is never called"):
        read(foreign(), galaxies(), ["early", "unused"])


class Pair(nn.Module):
    def forward(self, images):
        return images, images


def test_a_layer_that_gives_no_tensor_is_refused():
    with pytest.raises(ConfigError, match=r"layer '0': expected a tensor, got tuple"):
        read(nn.Sequential(Pair()), galaxies(), ["0"])


def test_images_the_network_cannot_take_are_refused_with_their_size():
    model = nn.Sequential(nn.Conv2d(3, 4, 7), nn.Conv2d(4, 4, 90))
    with pytest.raises(ConfigError, match=r"cannot take images of 64x64 px .*larger"):
        read(model, galaxies(), ["1"])


class Hungry(nn.Module):
    def forward(self, images):
        raise torch.OutOfMemoryError("out of memory")


def test_a_device_without_memory_is_not_blamed_on_the_images():
    with pytest.raises(torch.OutOfMemoryError):
        read(nn.Sequential(Hungry()), galaxies(), ["0"])


def test_hooks_are_gone_after_success_and_after_an_error():
    model = Foreign().eval()
    read(model, galaxies(), ["late"])
    with pytest.raises(ConfigError):
        read(model, galaxies(size=(64, 64)).repeat(1, 2, 1, 1), ["late"])
    assert not any(module._forward_hooks for module in model.modules())

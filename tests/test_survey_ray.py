"""On Ray: the same table to the byte, whoever dies on the way, and nothing stays."""

import asyncio
import os
import signal
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmagnet.classifying import cluster, open_classifier, write_catalog
from dmagnet.classifying.cluster import CHUNKS_AHEAD, Crew, classify_on_cluster, crew_of
from dmagnet.classifying.worker import Inbox
from dmagnet.config import ClassifyConfig, ClusterConfig, ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.pictures.inputs import Item

ray = pytest.importorskip("ray", reason="Ray is not installed: dmagnet[survey]")

if not Path("/proc/self/stat").is_file():
    pytest.skip("looks at processes in /proc", allow_module_level=True)

# Ray sets its own deprecated settings.
pytestmark = [
    pytest.mark.slow,
    *(
        pytest.mark.filterwarnings(f"ignore:.{name}. is deprecated:DeprecationWarning")
        for name in ("use_push_based_shuffle", "use_polars", "use_arrow_tensor_v2")
    ),
]
TWO = ClusterConfig(workers=2)
SMALL = ClassifyConfig(chunk_size=6, batch_size=4, threads=2, cluster=TWO)
# A worker loads its libraries anew: two only where the story needs two.
ALONE = replace(SMALL, cluster=ClusterConfig(workers=1))
SIDE = 64


def on_ray(inputs, out, weights, config=SMALL, announce=None):
    return write_catalog(
        inputs, out, weights=weights, config=config, engine="ray", announce=announce
    )


def each_time(action):
    """Do something each time that a chunk is done."""

    def announce(name, total):
        return lambda done: action() if done else None

    return announce


def network(seed):
    torch.manual_seed(seed)
    model = ModelConfig(size="xs", num_classes=3)
    config = TrainConfig(model=model, image_size=SIDE)
    return Checkpoint(DMAGNet(model).eval(), config, ("a", "b", "c"))


@pytest.fixture(scope="module")
def weights(untrained):
    """ONNX: a worker that does not load torch starts sooner."""
    return untrained[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fifty images, two of them bad: nine chunks, the last of two."""
    folder = tmp_path_factory.mktemp("ray") / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(50):
        pixels = rng.integers(0, 255, (80, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    (folder / "007.png").write_bytes(b"")
    (folder / "030.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def expected(weights, folder, tmp_path_factory):
    """The table of one process."""
    out = tmp_path_factory.mktemp("expected") / "t.fits"
    write_catalog(folder, out, weights=weights, config=SMALL)
    return out.read_bytes()


@pytest.fixture(scope="module")
def alone(weights, folder, tmp_path_factory):
    """A run that begins a Ray of its own: its table, processes and environment."""
    assert not ray.is_initialized()
    out, processes, told = tmp_path_factory.mktemp("alone") / "t.fits", {}, {}

    def look():
        found = offspring()
        processes.update(found)
        for pid, name in found.items():
            if name in ("gcs_server", "raylet"):  # Ray's others have renamed themselves
                told[name] = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")

    before = signal.getsignal(signal.SIGTERM)
    on_ray(folder, out, weights, announce=each_time(look))
    assert signal.getsignal(signal.SIGTERM) == before
    assert not set(os.environ) & set(cluster.ENVIRONMENT)
    return out.read_bytes(), processes, told


@pytest.fixture(scope="module")
def running(alone):
    """A Ray that was there before, with room for two workers."""
    os.environ |= cluster.ENVIRONMENT
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    assert ray.is_initialized(), "a run ended what it did not begin"
    ray.shutdown()
    for name in cluster.ENVIRONMENT:
        del os.environ[name]


def offspring():
    """Processes below this one, and their names."""
    parents, names = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(stat.parent.name)
        parents[pid], names[pid] = int(tail.split()[1]), head.partition("(")[2]

    def above(pid):
        while pid := parents.get(pid, 0):
            yield pid

    return {pid: name for pid, name in names.items() if os.getpid() in above(pid)}


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_two_workers_write_the_bytes_of_one_process(alone, expected):
    assert alone[0] == expected


def test_a_run_leaves_no_process_of_ray_behind(alone):
    end = time.monotonic() + 20
    while left := [p for p in alone[1] if alive(p)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def test_a_ray_of_its_own_is_told_to_report_nothing(alone):
    assert set(alone[2]) == {"gcs_server", "raylet"}
    assert all(b"RAY_USAGE_STATS_ENABLED=0" in told for told in alone[2].values())


def test_an_address_without_a_cluster_is_told_at_once(weights, folder, tmp_path):
    config = replace(SMALL, cluster=ClusterConfig(ray_address="127.0.0.1:1"))
    with pytest.raises(ConfigError, match=r"expected a Ray cluster at '127"):
        on_ray(folder, tmp_path / "t.csv", weights, config)


def test_embeddings_come_back_from_ray_as_from_one_process(
    running, untrained, folder, tmp_path
):
    tables = []
    for engine in ("local", "ray"):
        out = tmp_path / f"{engine}.fits"
        config = replace(ALONE, engine=engine, device="cpu", embeddings=True)
        write_catalog(folder, out, weights=untrained[0], config=config)
        tables.append(out.read_bytes())
    assert b"embedding" in tables[0]
    assert tables[0] == tables[1]


def test_a_worker_that_is_killed_changes_no_byte(
    running, weights, folder, tmp_path, expected
):
    out, killed = tmp_path / "t.fits", []

    def kill():
        if not killed:
            workers = [p for p, name in offspring().items() if "MapWork" in name]
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    on_ray(folder, out, weights, announce=each_time(kill))
    assert killed
    assert out.read_bytes() == expected


def test_a_run_that_was_stopped_on_ray_goes_on_in_one_process(
    running, weights, folder, tmp_path, expected
):
    out = tmp_path / "t.fits"

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_ray(folder, out, weights, ALONE, announce=each_time(stop))
    assert 1 <= len([*Path(f"{out}.parts").glob("*/*.arrow")]) < 9
    write_catalog(folder, out, weights=weights, config=SMALL)
    assert out.read_bytes() == expected


def test_strict_names_the_same_input_as_in_one_process(
    running, weights, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder)
    config, out = replace(ALONE, strict=True), tmp_path / "t.csv"
    bad, lines = ["001.png", "007.png"], []
    for engine in ("local", "ray"):
        with pytest.raises(DataError, match=r"^007\.png: .*empty") as error:
            write_catalog(bad, out, weights=weights, config=config, engine=engine)
        lines.append(str(error.value))
    assert lines[0] == lines[1]


def test_weights_that_changed_on_the_way_are_refused(running, folder, tmp_path):
    weights = save(tmp_path / "w.safetensors", network(1))

    def exchange(name, total):
        save(weights, network(2))
        return lambda _: None

    with pytest.raises(CheckpointError, match="holds other weights"):
        on_ray(folder, tmp_path / "t.csv", weights, ALONE, announce=exchange)


def test_few_chunks_are_under_way_however_many_there_are(
    running, weights, folder, monkeypatch
):
    monkeypatch.setattr(cluster, "CHUNKS_A_LAP", 12)
    images, taken, done = sorted(folder.iterdir()), [], []

    def chunks():
        for i in range(20):
            taken.append(i)
            items = [Item(id=p.name, path=p.name, files=(str(p),)) for p in images[:2]]
            yield 100 + i, items

    classifier = open_classifier(weights)
    with closing(
        classify_on_cluster(chunks(), 20, classifier, ALONE, weights)
    ) as finished:
        for number, rows in finished:
            done.append(number)
            assert rows.num_rows == 2
            assert len(taken) - len(done) < CHUNKS_AHEAD
    assert sorted(done) == [100 + i for i in range(20)]


def test_a_chunk_stays_in_the_inbox_until_its_rows_are_there():
    async def story():
        inbox, chunk = Inbox(), (7, [Item(id="a", path="a")])
        waiting = asyncio.create_task(inbox.get(0))
        await asyncio.sleep(0)
        assert not waiting.done()
        await inbox.put(0, chunk)
        assert await waiting == (chunk, 0)
        assert await inbox.get(0) == (chunk, 1), "the worker died: again"
        await inbox.drop(0)
        assert await inbox.get(0) is None

    asyncio.run(story())


def test_a_file_that_only_the_workers_miss_is_no_flag_but_an_error(tmp_path):
    answer = {"error": None, "machine": "node7", "absent": [os.fsencode(tmp_path)]}
    with pytest.raises(DataError, match=r"node7: .* is not there, but it is where"):
        cluster._rows(answer, None)


@pytest.mark.parametrize(
    ("device", "name", "resources", "crew"),
    [
        ("auto", "w.safetensors", {"CPU": 9.0}, Crew(4, 2, 0)),
        ("auto", "w.safetensors", {"CPU": 64.0, "GPU": 8.0}, Crew(8, 2, 1)),
        ("cpu", "w.safetensors", {"CPU": 64.0, "GPU": 8.0}, Crew(32, 2, 0)),
        ("auto", "w.onnx", {"CPU": 64.0, "GPU": 8.0}, Crew(32, 2, 0)),
        ("gpu", "w.safetensors", {"CPU": 6.0, "GPU": 8.0}, Crew(3, 2, 1)),
    ],
)
def test_unasked_as_many_work_as_the_cluster_has_room_for(
    device, name, resources, crew
):
    config = ClassifyConfig(cluster=ClusterConfig(threads_per_worker=2))
    assert crew_of(replace(config, device=device), resources, Path(name)) == crew


def test_a_cluster_without_room_for_one_worker_is_refused():
    config = ClassifyConfig(cluster=ClusterConfig(workers=2, threads_per_worker=8))
    with pytest.raises(ConfigError, match="8 cores, the cluster has 4 cores"):
        crew_of(config, {"CPU": 4.0}, Path("w.onnx"))
    with pytest.raises(ConfigError, match=r"and a GPU, .* 0 GPUs"):
        crew_of(replace(config, device="gpu"), {"CPU": 64.0}, Path("w.safetensors"))


def test_without_ray_the_line_says_what_to_install(
    weights, folder, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'dmagnet\[survey\]'"):
        on_ray(folder, tmp_path / "t.csv", weights)

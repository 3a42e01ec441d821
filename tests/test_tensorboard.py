"""``utils.tensorboard`` against the formats of the files that TensorBoard reads."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import rustnn
from rustnn.utils.tensorboard import SummaryWriter
from rustnn.utils.tensorboard.events import _masked, crc32c


def records(folder):
    """The events of a folder's only file, each with its checksums compared."""
    (file,) = Path(folder).glob("events.out.tfevents.*")
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == _masked(data[:8])
        event = data[12 : 12 + length]
        assert data[12 + length : 16 + length] == _masked(event)
        found.append(fields(event))
        data = data[16 + length :]
    return found


def fields(data):
    """A message as {number: [value, …]}; texts and messages are bytes."""
    found, place = {}, 0

    def varint():
        nonlocal place
        number = shift = 0
        while True:
            byte = data[place]
            place += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while place < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value = data[place : place + size]
            place += size
            if key & 7 == 1:
                (value,) = struct.unpack("<d", value)
            elif key & 7 == 5:
                (value,) = struct.unpack("<f", value)
        found.setdefault(key >> 3, []).append(value)
    return found


def only_value(event):
    return fields(fields(event[5][0])[1][0])


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_a_file_begins_with_its_version_and_holds_scalars_with_their_steps(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", rustnn.tensor([0.5], requires_grad=True), 3, walltime=7.0)
        writer.add_scalar("loss", np.float64(-2.0), -1)
        writer.add_scalar("tensor", 1.5, new_style=True, double_precision=True)
        assert writer.get_logdir() == str(tmp_path)
    version, first, second, third = records(tmp_path)
    assert version[3] == [b"brain.Event:2"]
    assert first[1] == [7.0] and first[2] == [3] and only_value(first) == {1: [b"loss"], 2: [0.5]}
    assert second[2] == [2**64 - 1] and only_value(second)[2] == [-2.0]
    assert 2 not in third and fields(only_value(third)[8][0]) == {1: [2], 2: [b""], 4: [struct.pack("<d", 1.5)]}


def test_events_reach_the_file_when_enough_wait_and_when_asked(tmp_path):
    writer = SummaryWriter(tmp_path, max_queue=2)
    writer.add_scalar("a", 1, 0)
    writer.add_scalar("a", 2, 1)
    assert len(records(tmp_path)) == 3
    writer.add_scalar("a", 3, 2)
    writer.flush()
    assert len(records(tmp_path)) == 4
    writer.close()
    writer.close()


def test_several_scalars_of_a_diagram_have_folders_of_their_own(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalars("loss/of", {"train": 1.0, "test": 2.0}, 5)
    for name, value in (("train", 1.0), ("test", 2.0)):
        _, event = records(tmp_path / f"loss_of_{name}")
        assert only_value(event) == {1: [b"loss/of"], 2: [value]} and event[2] == [5]


def test_a_histogram_counts_every_value_between_its_edges(tmp_path):
    values = rustnn.tensor([-1.0, 0.0, 0.0, 2.0, 3.0])
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("h", values, 0)
        writer.add_histogram("few", values, 0, bins=[-1, 0, 1, 2, 3], max_bins=2)
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("none", rustnn.zeros(0))
        with pytest.raises(ValueError, match="bucket_limits"):
            writer.add_histogram_raw("raw", 0, 1, 1, 1, 1, [1.0], [])
    _, event, few = records(tmp_path)
    found = fields(only_value(event)[5][0])
    assert [found[number][0] for number in range(1, 6)] == [-1.0, 3.0, 5.0, 4.0, 14.0]
    edges, counts = (np.frombuffer(found[number][0]) for number in (6, 7))
    assert len(edges) == len(counts) and counts.sum() == 5 and counts[0] == 0
    for left, right, count in zip(edges, edges[1:], counts[1:], strict=False):
        assert count == sum(left <= value < right for value in values.tolist())
    few = fields(only_value(few)[5][0])
    assert np.frombuffer(few[6][0]).tolist() == [-1, 1, 3] and np.frombuffer(few[7][0]).tolist() == [0, 3, 2]


def pixels_of(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, parts = 8, {}
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert png[place + 8 + length : place + 12 + length] == struct.pack(">I", zlib.crc32(kind + data))
        parts[kind] = data
        place += 12 + length
    width, height, depth, color = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    channels = {0: 1, 2: 3, 6: 4}[color]
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert depth == 8 and not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


def test_pictures_are_png_files_of_their_pixels(tmp_path):
    numbers = rustnn.arange(24.0).reshape(3, 2, 4) / 23
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("float", numbers)
        writer.add_image("bytes", rustnn.tensor([[1, 2], [3, 255]], dtype=rustnn.uint8), dataformats="HW")
        writer.add_images("ten", rustnn.ones(10, 1, 2, 3))
        with pytest.raises(AssertionError, match="different"):
            writer.add_image("no", rustnn.ones(2, 2))
        with pytest.raises(AssertionError, match="channels"):
            writer.add_image("no", rustnn.ones(2, 2, 2))
    _, first, second, third = (only_value(event)[4][0] if 5 in event else None for event in records(tmp_path))
    found = fields(first)
    assert (found[1], found[2], found[3]) == ([2], [4], [3])
    expected = (numbers.permute(1, 2, 0).double().numpy() * 255).astype(np.uint8)
    assert (pixels_of(found[4][0]) == expected).all()
    assert pixels_of(fields(second)[4][0])[..., 0].tolist() == [[1, 2], [3, 255]]
    grid = pixels_of(fields(third)[4][0])
    assert (
        grid.shape == (4, 24, 1) and (grid[:2] == 255).all() and (grid[2:, :6] == 255).all() and not grid[2:, 6:].any()
    )


def test_texts_sounds_and_curves_are_of_the_kinds_their_plugins_read(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("t", "**hello**", 1)
        writer.add_audio("a", rustnn.tensor([[0.0, 1.0, -2.0]]), sample_rate=8000)
        writer.add_pr_curve("p", rustnn.tensor([1, 0, 1, 0]), rustnn.tensor([0.9, 0.1, 0.4, 0.6]), num_thresholds=3)
    _, text, sound, curve = (only_value(event) if 5 in event else None for event in records(tmp_path))
    assert text[1] == [b"t/text_summary"] and fields(text[8][0])[8] == [b"**hello**"]
    sound = fields(sound[6][0])
    assert sound[1] == [8000.0] and sound[3] == [3] and sound[4][0][-6:] == struct.pack("<3h", 0, 32767, -32767)
    assert b"pr_curves" in curve[9][0]
    tensor = fields(curve[8][0])
    rows = np.frombuffer(tensor[4][0], "<f4").reshape(6, 3)
    # Thresholds 0, 1/2 and 1: right, wrong, clear, unseen, precision, recall.
    assert rows[:, 0].tolist() == [2, 2, 0, 0, 0.5, 1] and rows[:, 1].tolist() == [1, 1, 1, 1, 0.5, 0.5]
    assert rows[:4, 2].tolist() == [0, 0, 2, 2]


def test_hyperparameters_are_written_with_what_was_reached(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        hparams = {"lr": rustnn.tensor(0.5), "depth": 3, "kind": "adam", "flag": True}
        writer.add_hparams(hparams, {"accuracy": 0.25}, {"kind": ["adam", "sgd"]}, run_name="one")
        with pytest.raises(TypeError, match="hparam_dict"):
            writer.add_hparams([], {})
        with pytest.raises(ValueError, match="int, float"):
            writer.add_hparams({"a": [1]}, {})
    _, experiment, start, end, metric = records(tmp_path / "one")
    assert only_value(experiment)[1] == [b"_hparams_/experiment"] and only_value(end)[1] == [
        b"_hparams_/session_end_info"
    ]
    content = fields(fields(fields(only_value(start)[9][0])[1][0])[2][0])
    values = [fields(item) for item in fields(content[3][0])[1]]
    assert {item[1][0]: next(iter(fields(item[2][0]).values()))[0] for item in values} == {
        b"lr": 0.5,
        b"depth": 3.0,
        b"kind": b"adam",
        b"flag": 1,
    }
    assert only_value(metric) == {1: [b"accuracy"], 2: [0.25]}


def test_vectors_for_the_projector_lie_beside_their_labels_and_pictures(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(rustnn.eye(2), ["a", "b"], rustnn.ones(2, 3, 4, 5), global_step=1, tag="v")
        with pytest.raises(AssertionError, match="labels"):
            writer.add_embedding(rustnn.eye(2), ["a"])
    folder = tmp_path / "00001" / "v"
    assert (folder / "tensors.tsv").read_text() == "1.0\t0.0\n0.0\t1.0\n"
    assert (folder / "metadata.tsv").read_text() == "a\nb\n"
    assert pixels_of((folder / "sprite.png").read_bytes()).shape == (8, 10, 3)
    assert "single_image_dim: 5\nsingle_image_dim: 4" in (tmp_path / "projector_config.pbtxt").read_text()


def test_what_is_not_written_raises_and_says_so(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for name, arguments in (("add_graph", 1), ("add_video", 2), ("add_mesh", 2), ("add_custom_scalars", 1)):
            with pytest.raises(NotImplementedError, match=name):
                getattr(writer, name)(*[None] * arguments)

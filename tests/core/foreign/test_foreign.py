"""Runs of others: written by their own programs, read here without these."""

import json
import math
import struct

import pytest

from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.foreign import look, names, wandb_log, wire


def points(subject, metric):
    curve = subject.curves[metric]
    return list(zip(curve.step, curve.value, strict=True))


class Board:
    """TensorBoard's own writer."""

    def __init__(self, folder) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.event, self.summary = event_pb2, summary_pb2
        self.writer = EventFileWriter(str(folder))

    def add(self, step, wall_time, **what):
        self.writer.add_event(self.event.Event(wall_time=wall_time, step=step, **what))

    def scalar(self, step, tag, value, wall_time=0.0):
        told = self.summary.Summary(value=[{"tag": tag, "simple_value": value}])
        self.add(step, wall_time, summary=told)

    def tensor(self, step, tag, **tensor):
        self.add(step, 0.0, summary=self.summary.Summary(value=[{"tag": tag, "tensor": tensor}]))


@pytest.fixture
def board(tmp_path):
    board = Board(tmp_path / "logs")
    yield board
    board.writer.close()


def test_scalars_of_tensorboard_are_read_under_the_names_of_this_project(board, tmp_path):
    for step in (10, 20):
        board.scalar(step, "train/loss", 1.5 / step, 100.0 + step)
        board.scalar(step, "train/learning_rate", 1e-4, 100.0 + step)
        board.scalar(step, "train/something", 7.0, 100.0 + step)
    board.scalar(20, "eval/loss", 1.25, 125.0)
    board.writer.close()

    subject = look.read(tmp_path / "logs")

    assert (subject.source, subject.name, subject.status) == ("TensorBoard", "logs", None)
    assert points(subject, "loss") == [(10, pytest.approx(0.15)), (20, pytest.approx(0.075))]
    assert set(subject.curves) == {"loss", "learning_rate", "eval_loss"}
    assert subject.best == (1.25, 20)
    began = subject.curves["loss"].seconds[0]
    assert subject.curves["eval_loss"].seconds[0] - began == pytest.approx(15.0)
    assert subject.curves["loss"].tokens is None
    assert (subject.eval_hash, subject.tokens_per_s, subject.damaged) == (None, None, 0)


def test_scalars_of_tensorflow_2_are_tensors(board, tmp_path):
    board.tensor(1, "train/loss", dtype=1, float_val=[0.5])
    board.tensor(2, "train/loss", dtype=1, tensor_content=struct.pack("<f", 0.25))
    board.tensor(3, "train/loss", dtype=2, double_val=[0.125])
    board.tensor(4, "train/loss", dtype=3, int_val=[7])
    board.writer.close()

    assert points(look.read(tmp_path / "logs"), "loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_steps_that_were_done_again_are_left_out(board, tmp_path):
    for step, value in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 0.5)):
        board.scalar(step, "train/loss", value)
    start = board.event.SessionLog(status=board.event.SessionLog.START)
    board.scalar(5, "eval/loss", 9.0)
    board.add(4, 0.0, session_log=start)
    board.scalar(3, "eval/loss", math.nan)
    board.writer.close()

    subject = look.read(tmp_path / "logs")

    assert points(subject, "loss") == [(1, 3.0), (2, 0.5)]
    assert list(subject.curves["eval_loss"].step) == [3] and subject.best is None
    assert list(subject.curves["eval_loss"].bad) == [0]


def test_what_lies_between_two_starts_is_no_time_of_training(tmp_path, monkeypatch):
    writer = "tensorboard.summary.writer.event_file_writer.time.time"
    for began, steps in ((1000.0, (1, 2)), (9000.0, (3, 4))):
        monkeypatch.setattr(writer, lambda began=began: began)
        board = Board(tmp_path / "logs")
        for step in steps:
            board.scalar(step, "train/loss", 1.0, began + 10 * step)
        board.writer.close()

    subject = look.read(tmp_path / "logs")

    assert subject.by_clock and list(subject.curves["loss"].seconds) == [10, 20, 50, 60]


def test_a_start_of_wandb_that_counts_from_0_goes_on_where_the_one_before_ended():
    clock = wandb_log._Clock()
    counted = (1.0, 5.0, None, 2.0, 4.0, 9.0)
    assert [clock.seconds(each) for each in counted] == [1, 5, None, 7, 9, 14]


def test_the_arguments_that_transformers_writes_are_the_configuration(board, tmp_path):
    told = {"learning_rate": 1e-4, "per_device_train_batch_size": 8, "fp16": None, "tf32": True}
    board.tensor(0, "args/text_summary", dtype=7, string_val=[json.dumps(told).encode()])
    board.writer.close()

    assert look.read(tmp_path / "logs").config == {
        "optim.learning_rate": 1e-4,
        "train.micro_batch_size": 8,
        "tf32": True,
    }


def test_a_torn_end_is_not_written_yet_and_damage_is_counted(board, tmp_path):
    board.scalar(1, "train/loss", 1.0)
    board.scalar(2, "train/loss", 0.5)
    board.writer.close()
    [file] = (tmp_path / "logs").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert points(look.read(tmp_path / "logs"), "loss") == [(1, 1.0)]

    garbage = b"\xff" * 9
    file.write_bytes(whole + len(garbage).to_bytes(8, "little") + bytes(4) + garbage + bytes(4))
    subject = look.read(tmp_path / "logs")
    assert len(subject.curves["loss"]) == 2 and subject.damaged == 1


def test_a_run_of_tensorboard_is_found_below_a_folder_where_it_is_the_only_one(board, tmp_path):
    board.scalar(1, "train/loss", 1.0)
    board.writer.close()
    assert look.read(tmp_path).name == "logs"

    other = Board(tmp_path / "more" / "logs")
    other.writer.close()
    with pytest.raises(UsageError, match=r"several runs of TensorBoard: logs, more/logs"):
        look.read(tmp_path)


def test_what_is_no_run_and_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(SftError, match="neither a run of sft-tui nor one of"):
        look.read(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [')
    with pytest.raises(SftError, match="it is not valid JSON"):
        look.read(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"log_history": {"step": 1}}')
    with pytest.raises(SftError, match="it has no list log_history"):
        look.read(tmp_path)
    (tmp_path / "trainer_state.json").write_text(
        '{"log_history": [3, {"step": -1, "loss": 1}, {"step": 1e400, "loss": 1}, '
        '{"step": 2, "loss": true}, {"step": 3, "loss": NaN}, {"step": 4, "loss": "high"}]}'
    )
    subject = look.read(tmp_path)
    assert list(subject.curves["loss"].step) == [3] and list(subject.curves["loss"].bad) == [0]


@pytest.mark.parametrize("message", [b"\x80", b"\x0a\x05ab", b"\x0b", b"\x80" * 11 + b"\x01"])
def test_bytes_that_are_no_message_are_refused(message):
    with pytest.raises(ValueError, match=r"end|wire type"):
        list(wire.fields(message))


def test_a_log_of_leveldb_goes_over_blocks(tmp_path):
    """Records of all lengths about the end of a block, as its format says they are split."""
    records = [bytes([number % 256]) * length
               for number, length in enumerate([32735, 20, 5, 0, 70000, 32754, 3])]  # fmt: skip
    raw, block = bytearray(b"7 bytes"), 32768
    for record in records:
        left, first = record, True
        while first or left:
            room = block - len(raw) % block
            if room < 7:
                raw += bytes(room)
                room = block
            piece, left = left[: room - 7], left[room - 7 :]
            kind = (1 if first else 4) if not left else (2 if first else 3)
            raw += bytes(4) + len(piece).to_bytes(2, "little") + bytes([kind]) + piece
            first = False
    path = tmp_path / "log"
    path.write_bytes(raw)
    assert list(wire.level_records(path, 7)) == records
    path.write_bytes(raw[:-2])
    assert list(wire.level_records(path, 7)) == records[:-1]


def test_names_of_others_mean_keys_of_this_project_only_where_they_are_surely_the_same():
    told = {"seed": 1, "r": 4, "vision": {"r": 9}, "peft_config": {"default": {"r": 8}}, "x": None}
    assert names.settings(told) == {
        "train.seed": 1, "method.rank": 8, "vision.r": 9,
    }  # fmt: skip

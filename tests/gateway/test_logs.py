import io
import json
import logging

import pytest

from gateway import logs


@pytest.fixture(autouse=True)
def _root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_stable_keys() -> None:
    stream = io.StringIO()
    logs.setup("info", stream)
    logging.getLogger("gateway.x").info("press is up: %s\nsecond line", "reading")
    logging.getLogger("gateway.x").debug("not shown")
    [line] = stream.getvalue().splitlines()
    record = json.loads(line)
    assert list(record) == ["ts", "level", "logger", "msg"]
    assert record["level"] == "info"
    assert record["msg"] == "press is up: reading\nsecond line"
    assert record["ts"].endswith("Z")


def test_half_of_a_surrogate_pair_is_written_as_its_escape() -> None:
    stream = io.StringIO()
    logs.setup("info", stream)
    logging.getLogger("gateway.x").info("no file läuft-\udc80.toml")
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["msg"] == "no file läuft-\\udc80.toml"


def test_a_traceback_stays_on_the_line() -> None:
    stream = io.StringIO()
    logs.setup("info", stream)
    try:
        raise ValueError("oops")
    except ValueError:
        logging.getLogger("gateway.x").exception("failed")
    [line] = stream.getvalue().splitlines()
    assert "ValueError: oops" in json.loads(line)["exc"]


class Lines:
    """A handler on a logger of its own, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.stream = io.StringIO()
        self.handler = logs.SparingHandler(self.stream, clock=lambda: self.now_s)
        self.handler.setFormatter(logs.JsonLines())
        self.log = logging.Logger("gateway.x")
        self.log.addHandler(self.handler)

    @property
    def written(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_what_repeats_itself_is_held_back_and_its_number_is_told_after_the_window() -> None:
    lines = Lines()
    for _ in range(50):
        lines.log.error("the disk is full")
    lines.log.error("something else")
    assert [line["msg"] for line in lines.written] == ["the disk is full"] * logs.TEXT_LIMIT + ["something else"]
    lines.now_s = logs.WINDOW_S
    lines.log.info("the next line of any kind")
    told, after = lines.written[-2:]
    assert told["repeats"] == 50 - logs.TEXT_LIMIT
    assert (told["level"], told["logger"]) == ("error", "gateway.x")
    assert str(told["msg"]).endswith("the disk is full")
    assert after["msg"] == "the next line of any kind"
    lines.log.error("the disk is full")
    assert lines.written[-1]["msg"] == "the disk is full"
    assert "repeats" not in lines.written[-1]


def test_different_texts_of_one_template_are_no_repeats_until_they_are_a_flood() -> None:
    lines = Lines()
    for number in range(logs.TEMPLATE_LIMIT + 30):
        lines.log.info("device %d is up", number)
    assert len(lines.written) == logs.TEMPLATE_LIMIT
    lines.handler.close()
    assert lines.written[-1]["repeats"] == 30
    assert not lines.stream.closed


def test_every_line_is_written_or_counted_and_memory_is_bounded() -> None:
    lines = Lines()
    sent = 0
    for number in range(5 * logs.MOST_KEYS):
        for _ in range(7):
            lines.log.info(f"unique {number}")  # noqa: G004 - a text that is its own template
            sent += 1
    assert len(lines.handler._texts._windows) <= logs.MOST_KEYS
    assert len(lines.handler._templates._windows) <= logs.MOST_KEYS
    lines.handler.close()
    told = sum(int(str(line.get("repeats", 0))) for line in lines.written)
    assert told + sum("repeats" not in line for line in lines.written) == sent


def test_arguments_that_do_not_fit_stop_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.log.info("%d devices", "three")
    assert lines.written == []
    assert "three" in capsys.readouterr().err


def test_a_new_level_tells_first_what_was_held_back() -> None:
    stream = io.StringIO()
    logs.setup("info", stream)
    for _ in range(9):
        logging.getLogger("gateway.x").info("again")
    logs.setup("warning", stream)
    assert json.loads(stream.getvalue().splitlines()[-1])["repeats"] == 9 - logs.TEXT_LIMIT

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


def test_a_traceback_stays_on_the_line() -> None:
    stream = io.StringIO()
    logs.setup("info", stream)
    try:
        raise ValueError("oops")
    except ValueError:
        logging.getLogger("gateway.x").exception("failed")
    [line] = stream.getvalue().splitlines()
    assert "ValueError: oops" in json.loads(line)["exc"]

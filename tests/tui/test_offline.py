"""A file without a gateway: read, checked, written in one step with its earlier text kept."""

import pytest

from gateway.check import load
from gateway.control.refusal import Refused
from gateway.errors import TidegateError
from gateway.plan_text import plan_text
from tui.backend.contract import NeedsGateway
from tui.backend.offline import ConfigFile
from tui.backend.running import RunningGateway
from tui.main import backend_for

GOOD = '# kept\n[gateway]\nid = "a"\n'
BAD = '[[devices]]\nname = "x"\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    return path


def backend(path):
    return ConfigFile(path, check=lambda text: plan_text(load(path, text=text)))


async def test_a_good_draft_is_written_and_the_earlier_text_kept(file):
    offline = backend(file)
    told = await offline.config()
    assert (told.text, told.writable, told.problem) == (GOOD, True, "")
    new = GOOD.replace('"a"', '"b"')
    assert "Gateway   b" in (await offline.check(new)).plan
    applied = await offline.apply(new, told.sha256)
    assert file.read_text() == new
    assert applied.sha256 == (await offline.config()).sha256
    kept = await offline.versions()
    assert len(kept) == 1
    assert kept[0].bytes == len(GOOD)


async def test_a_bad_draft_changes_nothing_and_says_where(file):
    offline = backend(file)
    told = await offline.config()
    with pytest.raises(Refused) as refused:
        await offline.apply(BAD, told.sha256)
    assert refused.value.status == 422
    assert refused.value.problems[0].where.startswith("devices[0]")
    assert file.read_text() == GOOD
    assert (await offline.check(BAD)).problems


async def test_a_file_that_was_changed_meanwhile_is_not_overwritten(file):
    offline = backend(file)
    told = await offline.config()
    file.write_text(GOOD + "# other\n")
    with pytest.raises(Refused) as refused:
        await offline.apply(GOOD, told.sha256)
    assert refused.value.status == 409
    assert file.read_text() == GOOD + "# other\n"


async def test_a_missing_file_is_made(tmp_path):
    offline = backend(tmp_path / "new.toml")
    told = await offline.config()
    assert told.text == ""
    await offline.apply(GOOD, told.sha256)
    assert (tmp_path / "new.toml").read_text() == GOOD


async def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(TidegateError, match="UTF-8"):
        await backend(tmp_path / "x.toml").config()


async def test_what_needs_a_gateway_says_so(file):
    offline = backend(file)
    calls = [
        offline.status(),
        offline.browse({}, None),
        offline.search({}, "", 1),
        offline.read({}),
        offline.live(),
        offline.test_uplink({}),
    ]
    for call in calls:
        with pytest.raises(NeedsGateway, match="running gateway"):
            await call


def test_which_backend(tmp_path):
    def check(text):
        return ""

    file, socket = tmp_path / "x.toml", tmp_path / "control.sock"
    assert isinstance(backend_for(file=None, socket=socket, check=check), RunningGateway)
    assert isinstance(backend_for(file=file, socket=socket, check=check), ConfigFile), "nothing answers there"
    assert isinstance(backend_for(file=file, socket=None, check=check), ConfigFile)

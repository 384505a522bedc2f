"""A picture of each screen, in both languages at 80x24 and of some at 120x40."""

import math

import pytest

from tests.tui.fake import FakeFile
from tests.tui.rig import LANGUAGES, rig
from tests.tui.snapshot import matches

SMALL = (80, 24)
LARGE = (120, 40)


async def overview(tui):
    tui.session.history.extend(100 + 30 * math.sin(step / 4) for step in range(100))
    tui.app.screen.refresh_all()


async def devices(tui):
    await tui.press("2", "down", "o")


async def opcua(tui):
    await tui.press("2", "enter", "tab", "enter", "down", "enter", "down", "down", "space")


async def modbus(tui):
    await tui.press("2", "down", "enter")
    tui.grid("tags").focus()
    await tui.press("r")


async def register(tui):
    await tui.press("2", "down", "enter")
    tui.grid("tags").focus()
    await tui.press("down", "enter", "tab")


async def live(tui):
    await tui.press("3")
    await tui.poll()
    await tui.press("down", "space")


async def uplink(tui):
    await tui.press("4", "tab", "ctrl+t")


async def review(tui):
    await opcua(tui)
    await tui.press("ctrl+s", "5")


async def problems(tui):
    tui.backend.problems = [
        ("devices[0].url", "'opc.tcp//192.168.0.10' is not the address of an OPC UA server (device 'press')"),
        ("devices[1].tags[1].address", "'4000' is no address; write a number counted from 0 (tag '液位设定')"),
    ]
    await tui.press("2", "o", "5")


async def help_(tui):
    await tui.press("question_mark")


SCENES = {
    "overview": overview,
    "devices": devices,
    "opcua": opcua,
    "modbus": modbus,
    "register": register,
    "live": live,
    "uplink": uplink,
    "review": review,
    "problems": problems,
    "help": help_,
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scene", SCENES)
async def test_picture(scene, language):
    async with rig(size=SMALL, language=language) as tui:
        await SCENES[scene](tui)
        matches(tui.svg(), f"{scene}-{language}")


@pytest.mark.parametrize("scene", ["overview", "opcua", "modbus", "review"])
async def test_large_picture(scene):
    async with rig(size=LARGE) as tui:
        await SCENES[scene](tui)
        matches(tui.svg(), f"{scene}-en-large")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_picture_without_a_gateway(language):
    async with rig(FakeFile(), size=SMALL, language=language) as tui:
        await tui.press("2", "o", "1")
        matches(tui.svg(), f"offline-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_picture_of_a_silent_gateway(language):
    async with rig(size=SMALL, language=language) as tui:
        tui.backend.gone = True
        await tui.poll()
        matches(tui.svg(), f"silent-{language}")

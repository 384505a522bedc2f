"""The folder of a new module: a source that compiles, a manifest, a README and a golden test, to be changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

from gateway.errors import TidegateError
from modules.build import MODULES

__all__ = ["scaffold"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

_SOURCE: Final = """\
/* NAME: leaves out numbers below a limit, and counts how many it left out. Change it into what you need. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

/* Parameters and outputs, in the order of manifest.toml. */
enum { LOWEST, PARAMS };
enum { LEFT_OUT, OUTPUTS };

/* What you make of a point's parameters, once. */
typedef struct {
    double lowest;
} config;

/* What you remember of a point; zeroed before its first reading. */
typedef struct {
    uint64_t left_out;
} memory;

static int32_t configure(config *c, const double *param) {
    c->lowest = param[LOWEST];
    return TG_OK; /* or TG_E_PARAMS where they do not go together */
}

/* Called for each reading of your points. What is not passed is left out. */
static void reading(const config *c, memory *m, tg_record *now) {
    double value;
    if (tg_number(now, &value) && value < c->lowest) {
        m->left_out++;
        tg_emit_u64(LEFT_OUT, now, m->left_out);
        return;
    }
    tg_pass(now);
}

TG_POINTS(config, memory)
TG_SAVES(memory)
"""
_MANIFEST: Final = """\
name = "NAME"
version = "0.1.0"
abi = 1
licence = "Apache-2.0"
summary = "Leaves out numbers below a limit, and counts how many."
stateful = true                     # an answer depends on earlier readings
state = 1                           # version of what TG_SAVES saves; raise it when `memory` changes
accepts = ["i64", "u64", "f64"]     # the kinds of value that it works on; others pass

[[params]]
name = "lowest"
type = "number"                     # number, integer, boolean or choice
default = 10.0                      # without a default it must be configured
help = "A number below this is left out, in the tag's unit."

[[outputs]]
name = "left_out"
kind = "u64"
help = "How many numbers were left out so far."
"""
_README: Final = """\
# NAME

Leaves out numbers below a limit, and counts how many.

| parameter | unit | default | meaning |
|---|---|---|---|
| `lowest` | the tag's | 10 | a number below this is left out |

| output | meaning |
|---|---|
| `left_out` | how many numbers were left out so far |
"""
_CASE: Final = """\
# params = { lowest = 10.0 }
time,tag,value,status,flags
0,temperature,20.5
1,temperature,9.5
2,temperature,10.0
3,temperature,,bad
4,temperature,3
"""
_ANSWER: Final = """\
time,tag,value,status,flags
0,temperature,20.5
1,temperature.left_out,1u,,derived
2,temperature,10.0
3,temperature,,bad
4,temperature.left_out,2u,,derived
"""


def scaffold(folder: Path, language: Literal["c", "zig"] = "c") -> list[Path]:
    """Makes the folder of a new module, named like the folder; gives the files that it wrote.

    Args:
        folder: the folder to make.
        language: what the module is written in.

    Raises:
        TidegateError: that is no name of a module, or the folder is there already.
    """
    name = folder.name
    if not _NAME.fullmatch(name):
        raise TidegateError(f"{name!r} is no name of a module: lower case letters, digits and _, a letter first")
    texts = _c(name) if language == "c" else _zig(name)
    try:
        folder.mkdir(parents=True)
        (folder / "golden").mkdir()
        for file, text in texts.items():
            (folder / file).write_text(text)
    except FileExistsError:
        raise TidegateError(f"{folder} is there already; give another name, or move it away") from None
    except OSError as error:
        raise TidegateError(f"{folder} cannot be made: {error.strerror or error}") from None
    return [folder / file for file in texts]


def _c(name: str) -> dict[str, str]:
    texts = {
        f"{name}.c": _SOURCE,
        "manifest.toml": _MANIFEST,
        "README.md": _README,
        "golden/first.in.csv": _CASE,
        "golden/first.out.csv": _ANSWER,
    }
    return {file: text.replace("NAME", name) for file, text in texts.items()}


def _zig(name: str) -> dict[str, str]:
    """The worked example under another name."""
    example = MODULES / "examples" / "peak_hold"
    files = [file for file in sorted(example.rglob("*")) if file.is_file() and file.suffix != ".wasm"]
    return {
        str(file.relative_to(example)).replace("peak_hold", name): file.read_text().replace("peak_hold", name)
        for file in files
    }

"""The command line: the commands, and how each kind of failure is told.

Exit status: 0 done; 1 it failed; 2 the command or the configuration is wrong; 130 interrupted. A `TidegateError` is
shown as its text on standard error, never as a traceback. What a command needs is imported by that command alone, so
that `status` starts in a blink on a small box, and so does `check` where there are no filters.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import NoArgsIsHelpError

from gateway.cli_module import module
from gateway.cli_pki import pki
from gateway.cli_probe import probe
from gateway.cli_spool import spool
from gateway.cli_types import PATH, Command, FiniteRange, config_option, json_option, say
from gateway.errors import ConfigError, TidegateError

if TYPE_CHECKING:
    from gateway.config.models import Action

__all__ = ["cli", "main"]

_MOST_PROBLEMS = 50


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: the words behind `tidegate`; the process's own where None.

    Returns:
        The exit status.
    """
    try:
        status = cli.main(args=args, prog_name="tidegate", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        _tell(_usage(error))
        return 2
    except ConfigError as error:
        _tell(_config(error))
        return 2
    except TidegateError as error:
        _tell(str(error))
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Nothing more can be said; nor may the exit's flush try.
        _end_output()
        return 1
    except OSError as error:
        if not _is_of_output(error):
            raise
        _tell(f"standard output cannot be written: {error.strerror or error}. Make room, or send it elsewhere")
        _end_output()
        return 1
    return status if isinstance(status, int) else 0


def _is_of_output(error: OSError) -> bool:
    """Whether it was raised where click, or this module, writes to standard output."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and place.tb_frame.f_globals.get("__name__") in ("click.utils", __name__)


def _end_output() -> None:
    """Lets what standard output still holds go nowhere: the flush at the end of the process would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(text: str) -> None:
    click.echo(f"tidegate: {text}", err=True)


def _usage(error: click.ClickException) -> str:
    text = " ".join(error.format_message().rstrip(".").split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{text}\n  see {context.command_path if context else 'tidegate'} --help"


def _config(error: ConfigError) -> str:
    shown = error.problems[:_MOST_PROBLEMS]
    lines = [f"{error.source} cannot be used:", *(f"  {problem}" for problem in shown)]
    if len(error.problems) > len(shown):
        lines.append(f"  and {len(error.problems) - len(shown)} more")
    return "\n".join(lines)


def _config_argument(command: Command) -> Command:
    return click.argument("file", type=PATH, envvar="TIDEGATE_CONFIG", metavar="FILE")(command)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog="FILE is a TOML file, or JSON where its name ends in .json. It may also come from TIDEGATE_CONFIG.",
)
@click.version_option(package_name="tidegate", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Tidegate: OPC UA and Modbus to MQTT, kept safe while the broker is away."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


@cli.command()
@_config_argument
def run(file: Path) -> int:
    """Run the gateway until SIGTERM or Ctrl-C."""
    from gateway.check import load

    config = load(file)
    # Behind the check: a mistake is told before the libraries, which take a second on a small box, are loaded.
    from gateway import app

    return app.run(config, file=file)


@cli.command()
@_config_argument
def check(file: Path) -> None:
    """Check a configuration, start its filters once, and print the plan. Connects to nothing."""
    from gateway.check import load
    from gateway.plan_text import plan_text

    config = load(file)
    if config.filters:
        from gateway.workshop.rehearsal import rehearse

        rehearse(config, str(file))
    say(plan_text(config))


@cli.command()
@click.argument("url", metavar="[URL]", required=False)
@click.option("--config", type=PATH, help="A configuration; with --device, in place of URL.")
@click.option("--device", help="The device in it, with its log-in.")
@click.option("--root", help="Node id or path to begin with. Default: /Objects, without the Server object.")
@click.option("--include", multiple=True, help="Only variables whose path fits; * and ? are wildcards. Repeatable.")
@click.option("--exclude", multiple=True, help="Leave out these paths and all that is below. Repeatable.")
@click.option("--uri", is_flag=True, help="Write node ids with namespace URIs, which survive a changed index.")
@click.option("--properties", is_flag=True, help="List properties of variables as well.")
@click.option("--csv", "file", type=PATH, help="Write a file of tags; - is standard output.")
def browse(
    url: str | None,
    config: Path | None,
    device: str | None,
    root: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    file: Path | None,
    *,
    uri: bool,
    properties: bool,
) -> None:
    """List a server's variables, or write them as a file of tags.

    A variable's path is made of browse names, such as Objects/Press/Temperature: try --include "Objects/Press/*".
    """
    import time

    from gateway import browsing

    if url is not None and config is None and device is None:
        settings, site = browsing.device_at(url)
    elif url is None and config is not None and device is not None:
        settings, site = browsing.device_of(config, device)
    else:
        raise click.UsageError("which server? Give either URL, or --config FILE and --device NAME")
    began_s = time.monotonic()
    wanted = browsing.Wanted(root, include, exclude, by_uri=uri, properties=properties)
    number = browsing.browse(settings, wanted, file=file, say=say, site=site)
    click.echo(browsing.told(number, time.monotonic() - began_s, file), err=True)


@cli.command()
@click.option("--socket", type=PATH, help="The gateway's control socket.")
@config_option("the socket")
@json_option("what the gateway tells")
def status(socket: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show what a running gateway is doing."""
    import json

    from gateway.control import client
    from gateway.status_text import status_text

    told = client.status(_socket_path(socket, config))
    say(json.dumps(told, indent=2) if as_json else status_text(told))


@cli.command()
@click.option("--socket", type=PATH, help="The gateway's control socket; quicker than --config.")
@config_option("the socket")
@click.option("--alive", is_flag=True, help="Only ask whether it answers: for a probe that restarts what does not.")
def health(socket: Path | None, config: Path | None, *, alive: bool) -> None:
    """Probe a running gateway. Exit status: 0 ready, 1 not.

    It is ready while it can store what comes in. A PLC or a broker that is away is told as degraded, and is no reason.
    """
    from gateway.control import client

    told = client.call(_socket_path(socket, config), "GET", "/healthz" if alive else "/readyz")
    degraded = ", ".join(f"{name} is {state}" for name, state in told.get("degraded", {}).items())
    click.echo("alive" if alive else "ready" + (f"; degraded: {degraded}" if degraded else ""))


def _socket_path(socket: Path | None, config: Path | None) -> Path:
    if socket is not None:
        return socket
    if config is None:
        raise click.UsageError("which gateway? Give --socket PATH, or --config FILE")
    from gateway.check import load

    return load(config).socket_path


@cli.command()
@click.option(
    "--seconds",
    type=FiniteRange(min=15, max=86_400),
    default=45,
    show_default=True,
    help="Length of the story in seconds.",
)
@click.option("--module", "file", type=PATH, help="A .wasm file that filters the machines' tags in it.")
@json_option("the verdict")
def demo(*, seconds: float, file: Path | None, as_json: bool) -> int:
    """Show it at work: outage, crash, verdict."""
    from gateway import demo as show

    return show.run(seconds=seconds, as_json=as_json, module=file)


@cli.command()
@click.argument("file", type=PATH, envvar="TIDEGATE_CONFIG", metavar="[FILE]", required=False)
@click.option("--socket", type=PATH, help="The gateway's control socket. Default: what FILE says.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of the screens. Default: the environment's.")
def tui(file: Path | None, socket: Path | None, lang: str | None) -> int:
    """Commission on site: devices, tags and broker, on this terminal."""
    if file is None and socket is None:
        raise click.UsageError("what is to be worked on? Give FILE, or --socket PATH of a running gateway")
    try:
        from tui import main as screens
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("textual", "tomlkit", "rich"):
            raise TidegateError("the screens are not installed here: pip install tidegate[tui]") from None
        raise
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TidegateError("the screens need a terminal; `tidegate status` and `tidegate check` need none")
    return screens.run(file=file, socket=socket or _told_socket(file), language=lang, check=_plan_of(file))


def _told_socket(file: Path | None) -> Path | None:
    """The socket that a configuration tells; None where it cannot be used, and so no gateway runs on it."""
    from gateway.check import load

    try:
        return load(file).socket_path if file is not None and file.exists() else None
    except ConfigError:
        return None


def _plan_of(file: Path | None) -> Callable[[str], str]:
    """Gives the plan of what is to stand in the file, or raises `ConfigError`."""
    from gateway.check import load
    from gateway.plan_text import plan_text

    return lambda text: plan_text(load(file or Path("tidegate.toml"), text=text))


@cli.group()
def policy() -> None:
    """Try a policy."""


@policy.command("eval")
@click.argument("file", type=PATH, metavar="[FILE]", required=False)
@click.option("--config", type=PATH, help="A configuration: its policy, devices and gateway id.")
@click.option(
    "--action", type=click.Choice(["collect", "write", "configure"]), required=True, help="What somebody wants to do."
)
@click.option("--device", help="The device's name.")
@click.option("--tag", help="The tag's name.")
@click.option("--value", help="The value to write; 5 is a number, press is a text.")
@click.option("--user", default="", help="Who asks.")
@click.option("--role", default="", help="In which role.")
@click.option("--kind", default="sensor", show_default=True, help="Without --config: input.device.type.")
@click.option("--query", default="data.industrial.allow", show_default=True, help="Without --config: the rule.")
def policy_eval(
    file: Path | None,
    config: Path | None,
    *,
    action: Action,
    device: str | None,
    tag: str | None,
    value: str | None,
    user: str,
    role: str,
    kind: str,
    query: str,
) -> int:
    """Ask a policy FILE (Rego), or the policy of a configuration. Exit status: 0 allowed, 1 denied."""
    from gateway.config.models import PolicySettings
    from gateway.policy import Device, Request, User, load_policy
    from gateway.policy.evaluate import answer_text, value_of

    if (file is None) == (config is None):
        raise click.UsageError("which policy? Give either FILE or --config FILE")
    settings, gateway = PolicySettings(file=None if file is None else str(file), query=query), "tidegate"
    asked = None if device is None else Device(name=device, kind=kind)
    if config is not None:
        from gateway.check import load

        loaded = load(config)
        settings, gateway = loaded.policy, loaded.gateway.id
        known = {one.name: Device.of(one) for one in loaded.devices}
        if device is not None and device not in known:
            raise click.UsageError(f'{config} has no device "{device}"; it has {", ".join(known) or "none"}')
        asked = None if device is None else known[device]
    request = Request(
        action=action,
        gateway=gateway,
        user=User(name=user, role=role),
        device=asked,
        tag=tag,
        value=None if value is None else value_of(value),
    )
    decision = load_policy(settings).decide(request)
    click.echo(answer_text(request, decision))
    return 0 if decision.allowed else 1


@cli.command()
@config_option("the database", required=True)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most entries.")
@json_option("them")
def audit(config: Path, limit: int, *, as_json: bool) -> None:
    """Show who asked for what, and what came of it."""
    from gateway.check import load
    from gateway.commands.listing import audit_json, audit_text
    from gateway.spool.audit import read_audit

    entries = read_audit(Path(load(config).database.path), limit=limit)
    say(audit_json(entries) if as_json else audit_text(entries))


cli.add_command(module)
cli.add_command(pki)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    import json

    from gateway.check import MODELS
    from gateway.config.schema import schema as schema_of

    say(json.dumps(schema_of(MODELS), indent=2, ensure_ascii=False))


cli.add_command(probe)
cli.add_command(spool)


if __name__ == "__main__":
    sys.exit(main())

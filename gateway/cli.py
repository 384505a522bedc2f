"""The command line: five commands, and how each kind of failure is told.

Exit status: 0 done; 1 it failed; 2 the command or the configuration is wrong; 130 interrupted. A `TidegateError` is
shown as its text on standard error, never as a traceback. What a command needs is imported by that command alone, so
that `check` and `status` start in a blink on a small box.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.errors import ConfigError, TidegateError

__all__ = ["cli", "main"]

_MOST_PROBLEMS = 50

_Command = TypeVar("_Command", bound=Callable[..., Any])


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: the words behind `tidegate`; the process's own where None.

    Returns:
        The exit status.
    """
    try:
        status = cli.main(args=args, prog_name="tidegate", standalone_mode=False)
        sys.stdout.flush()
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status if isinstance(status, int) else 0


def _tell(text: str) -> None:
    click.echo(f"tidegate: {text}", err=True)


def _usage(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".").replace("\n", " ")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{text}\n  see {context.command_path if context else 'tidegate'} --help"


def _config(error: ConfigError) -> str:
    shown = error.problems[:_MOST_PROBLEMS]
    lines = [f"{error.source} cannot be used:", *(f"  {problem}" for problem in shown)]
    if len(error.problems) > len(shown):
        lines.append(f"  and {len(error.problems) - len(shown)} more")
    return "\n".join(lines)


def _config_argument(command: _Command) -> _Command:
    return click.argument("file", type=click.Path(path_type=Path), envvar="TIDEGATE_CONFIG", metavar="FILE")(command)


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

    return app.run(config)


@cli.command()
@_config_argument
def check(file: Path) -> None:
    """Check a configuration and print the plan. Connects to nothing."""
    from gateway.check import load
    from gateway.plan_text import plan_text

    click.echo(plan_text(load(file)))


@cli.command()
@click.option("--socket", type=click.Path(path_type=Path), help="The gateway's control socket.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="TIDEGATE_CONFIG",
    show_envvar=True,
    help="The gateway's configuration, which tells the socket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway tells as JSON.")
def status(socket: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show what a running gateway is doing."""
    import json

    from gateway.control import client
    from gateway.status_text import status_text

    told = client.status(_socket_path(socket, config))
    click.echo(json.dumps(told, indent=2) if as_json else status_text(told))


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
    type=click.FloatRange(min=15, max=86_400),
    default=45,
    show_default=True,
    help="Length of the story in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def demo(*, seconds: float, as_json: bool) -> int:
    """Show it at work: outage, crash, verdict."""
    from gateway import demo as show

    return show.run(seconds=seconds, as_json=as_json)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    import json

    from gateway.check import MODELS
    from gateway.config.schema import schema as schema_of

    click.echo(json.dumps(schema_of(MODELS), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())

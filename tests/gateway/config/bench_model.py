"""A made-up protocol: one key of each kind, so that the reader is tested without any real one."""

from typing import Annotated, Literal

from msgspec import Meta, field

from gateway.config.keys import Seconds
from gateway.config.models import DeviceSettings, TagSettings


class BenchTag(TagSettings, frozen=True, kw_only=True):
    channel: Annotated[Annotated[int, Meta(ge=0, le=7)] | str, Meta(description="Channel, or its name.")]
    gain: Annotated[float, Meta(description="Gain.")] = 1.0


class BenchSettings(DeviceSettings, frozen=True, kw_only=True):
    type: Annotated[Literal["bench"], Meta(description="The protocol.")] = "bench"
    host: Annotated[str, Meta(min_length=1, description="Address.")]
    password: Annotated[str, Meta(description="Password.")] = "open"
    key_password: Annotated[str | None, Meta(description="Password of the key.")] = None
    trust_dir: Annotated[str | None, Meta(description="Folder of trusted certificates.")] = None
    interval_s: Annotated[Seconds, Meta(description="Seconds from one poll to the next.")] = 1.0
    mode: Annotated[Literal["fast", "slow"], Meta(description="How.")] = "fast"
    tags: Annotated[list[BenchTag], Meta(min_length=1, description="What is read.")] = field(default_factory=list)


class StrictSettings(DeviceSettings, frozen=True, kw_only=True):
    """Holds a mistake that only msgspec can tell."""

    type: Literal["strict"] = "strict"
    pair: tuple[int, int] = (1, 2)


MODELS = {"bench": BenchSettings, "strict": StrictSettings}

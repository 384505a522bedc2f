"""Payloads: what is a command, what is not, and that nothing else can come of one."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.payload import MAX_PAYLOAD_BYTES, BadCommand, Command, parse
from gateway.policy import User

_USER = '"user" must look like {"name":"Anna","role":"operator"}'
NOBODY = User(name="", role="")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"id":"a","value":5}', Command(id="a", value=5, expires_ms=None, user=NOBODY)),
        ('{"id":"a","value":5.5}', Command(id="a", value=5.5, expires_ms=None, user=NOBODY)),
        ('{"id":"a","value":true}', Command(id="a", value=True, expires_ms=None, user=NOBODY)),
        ('{"id":"a","value":"on"}', Command(id="a", value="on", expires_ms=None, user=NOBODY)),
        ('{"id":"a","value":18446744073709551615}', Command(id="a", value=2**64 - 1, expires_ms=None, user=NOBODY)),
        (
            '{"id":"~!x","value":0,"expires":1763900000000.5,"user":{"name":"Anna Müller","role":"operator"}}',
            Command(id="~!x", value=0, expires_ms=1763900000000.5, user=User(name="Anna Müller", role="operator")),
        ),
        ('{"id":"a","value":1,"user":{},"expires":null}', Command(id="a", value=1, expires_ms=None, user=NOBODY)),
    ],
)
def test_a_command(payload, expected):
    parsed = parse(payload.encode())
    assert parsed == expected
    assert type(parsed.value) is type(expected.value)


@pytest.mark.parametrize(
    ("payload", "command_id", "why"),
    [
        (b"", None, "truncated"),
        (b"5", None, 'a command looks like {"id":"a1","value":5}'),
        (b"\xff\xfe", None, ""),
        (b'{"value":5}', None, '"id" is missing'),
        (b'{"id":5,"value":5}', None, '"id" must be a text of 1 to 64'),
        (b'{"id":"","value":5}', None, "1 to 64 visible ASCII characters"),
        (b'{"id":"a b","value":5}', None, "1 to 64 visible ASCII characters"),
        (b'{"id":"a\\n","value":5}', None, "1 to 64 visible ASCII characters"),
        (b'{"id":"' + b"a" * 65 + b'","value":5}', None, "1 to 64 visible ASCII characters"),
        (b'{"id":"a"}', "a", '"value" is missing; it must be a number'),
        (b'{"id":"a","value":null}', "a", '"value" must be a number, a text, true or false'),
        (b'{"id":"a","value":[5]}', "a", '"value" must be a number'),
        (b'{"id":"a","value":{}}', "a", '"value" must be a number'),
        (b'{"id":"a","value":NaN}', None, "malformed"),
        (b'{"id":"a","value":1e999}', "a", '"value" must be a number'),
        (b'{"id":"a","value":18446744073709551616}', "a", ""),
        (b'{"id":"a","value":-9223372036854775809}', "a", ""),
        (b'{"id":"a","value":"\\u0000"}', "a", "a NUL character"),
        (b'{"id":"a","value":"' + b"x" * 1025 + b'"}', "a", "1025 characters"),
        (b'{"id":"a","value":5,"force":true}', "a", '"force" is no key of a command; it has id, value, expires, user'),
        (b'{"id":"a","value":5,"expires":"now"}', "a", '"expires" must be milliseconds since 1970'),
        (b'{"id":"a","value":5,"expires":-1}', "a", "milliseconds since 1970"),
        (b'{"id":"a","value":5,"expires":1763900000000000000}', "a", "milliseconds since 1970"),
        (b'{"id":"a","value":5,"user":"Anna"}', "a", _USER),
        (b'{"id":"a","value":5,"user":{"name":"A\\u0007"}}', "a", _USER),
        (b'{"id":"a","value":5,"user":{"group":"x"}}', "a", _USER),
        (b'{"id":"a","value":' + b"[" * 4000, None, ""),
        (b'{"id":"a","value":5,"x":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}', None, "bytes and 4096 are allowed"),
    ],
)
def test_no_command(payload, command_id, why):
    with pytest.raises(BadCommand) as bad:
        parse(payload)
    assert bad.value.command_id == command_id
    assert why in str(bad.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_bad_one(payload):
    _parsed(payload)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=70) | _JSON,
        "value": _JSON | st.text(),
        "expires": _JSON,
        "user": st.fixed_dictionaries({}, optional={"name": _JSON, "role": _JSON}) | _JSON,
        "other": _JSON,
    },
)


@given(_NEARLY)
def test_any_object_is_a_command_or_a_bad_one(tree):
    payload = json.dumps(tree).encode(errors="surrogatepass")
    parsed = _parsed(payload)
    if parsed is not None:
        assert set(tree) <= {"id", "value", "expires", "user"}
        assert parsed.value == tree["value"]
        assert json.loads(parsed.value_json) == tree["value"]


def _parsed(payload: bytes) -> Command | None:
    try:
        parsed = parse(payload)
    except BadCommand as bad:
        answerable = bad.command_id
        assert answerable is None or 1 <= len(answerable) <= 64
        return None
    assert msgspec.json.encode(parsed.value)
    return parsed

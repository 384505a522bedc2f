"""From `[policy]` to a policy: what is refused before the gateway starts, and what is loaded for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.models import DeviceSettings, PolicySettings
from gateway.errors import ConfigError
from gateway.policy import BuiltinPolicy, Request, User, collect_refusal, load_policy, policy_problems
from gateway.policy.rego_errors import RegoTrouble, troubles

CONFIG = Path(__file__).parents[3] / "config"
ANNA = User(name="Anna", role="operator")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("package industrial\n\n\nallow {\n  input.a ==\n}\n", "line 5", "Invalid boolean operator"),
        ("package industrial\nallow {\n", "line 2", "this is unclosed"),
        ("# Grüße\npackage industrial\nallow {\n  ü := 1\n  input.a ==\n}\n", "line 4", ""),
        ("", "", "no line such as: package"),
        ("hello world", "", "no line such as: package"),
        ("package industrial\nallow { nothing_like_it(1) }\n", "", "Function not found: nothing_like_it"),
        ("package industrial\nallow { a }\na { allow }\n", "", "Recursion detected in rule body"),
        ("package other\nallow = true\n", "query", "found data.industrial.allow, expected data.other.allow"),
        ("package industrial\nadmit = true\n", "query", "the file has no rule allow"),
        ("package industrial\nallow = true\n\0", "", "a NUL byte"),
        (b"package industrial\n# \xff\n", "line 2", "no UTF-8"),
        (b"#" * 1_000_001, "", "larger than 1000000 bytes"),
    ],
)
def test_a_file_that_cannot_work_is_refused(tmp_path, capfd, text, where, what):
    path = tmp_path / "policy.rego"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as refused:
        load_policy(PolicySettings(file=str(path)))
    assert refused.value.source == str(path)
    assert refused.value.problems[0].where == where
    assert what in refused.value.problems[0].what
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["missing.rego", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"the file cannot be read: .* check \[policy\] file"):
        load_policy(PolicySettings(file=str(tmp_path / name)))


def test_a_query_that_is_no_rule_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected the path of a rule"):
        load_policy(PolicySettings(file=str(CONFIG / "policy.rego"), query="data.industrial.allow; true"))


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "gateway.policy.rego", raising=False)
    monkeypatch.setitem(sys.modules, "regopy", None)
    with pytest.raises(ConfigError, match=r"install the extra tidegate\[policy\]"):
        load_policy(PolicySettings(file=str(CONFIG / "policy.rego")))


def test_a_shared_library_that_is_missing_is_named(monkeypatch, tmp_path):
    (tmp_path / "regopy.py").write_text("import ctypes\nctypes.CDLL('libnowhere.so.1')\n")
    monkeypatch.delitem(sys.modules, "gateway.policy.rego", raising=False)
    monkeypatch.delitem(sys.modules, "regopy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"regopy cannot be loaded \(libnowhere.so.1: cannot open"):
        load_policy(PolicySettings(file=str(CONFIG / "policy.rego")))


def test_problems_are_told_at_the_keys_of_the_section(tmp_path):
    path = tmp_path / "policy.rego"
    path.write_text("package industrial\n\nallow {\n  input.a ==\n}\n")
    assert policy_problems(PolicySettings(file=str(path), allow=["write"])) == [
        ("policy.allow", "this key does nothing where a policy file decides; remove one of them"),
        ("policy.file", f"{path}, line 4: Invalid boolean operator"),
    ]
    path.write_text("package other\nallow = true\n")
    [(where, what)] = policy_problems(PolicySettings(file=str(path)))
    assert (where, what.startswith(f"{path}: found data.industrial.allow")) == ("policy.query", True)
    assert policy_problems(PolicySettings(allow=["write"])) == []


@pytest.mark.parametrize(
    ("said", "source", "expected"),
    [
        ("", "", [RegoTrouble(0, "the interpreter gave no reason")]),
        ("something\n  else", "", [RegoTrouble(0, "something else")]),
        ("(error\n  (errormsg 3:a)b)\n  (errorast))", "", [RegoTrouble(0, "a)b")]),
        ("(error 3:p|q|4|1\n  (errormsg 2:no))", "a\nb\nc", [RegoTrouble(3, "no")]),
        ("(error 1:p|0|1\n (errormsg 1:x))(error 1:p|0|1\n (errormsg 1:x))", "a", [RegoTrouble(1, "x")]),
        ("(error 1:p|0|1\n (errormsg 1:x))(error 1:p|2|1\n (errormsg 1:x))", "a\nb", [RegoTrouble(2, "x")]),
        ("(errormsg 1:x)", "", [RegoTrouble(0, "(errormsg 1:x)")]),
    ],
)
def test_the_interpreters_words_are_read(said, source, expected):
    assert troubles(said, source) == expected


def request(action) -> Request:
    return Request(action=action, gateway="gw", user=ANNA)


def test_without_a_file_reading_is_allowed_and_nothing_else():
    policy = load_policy(PolicySettings())
    assert policy.decide(request("collect")) == (True, "[policy] allow lists it")
    assert policy.decide(request("write")) == (
        False,
        'Writing to devices is not allowed here: add "write" to [policy] allow, or give a [policy] file that allows it',
    )
    assert policy.decide(request("configure")).reason.startswith(
        'Changing the configuration is not allowed here: add "c'
    )


def test_the_list_is_what_is_allowed():
    policy = BuiltinPolicy(["write"])
    assert [policy.decide(request(action)).allowed for action in ("collect", "write", "configure")] == [
        False,
        True,
        False,
    ]


def test_a_device_that_must_not_be_read_says_so():
    policy = load_policy(PolicySettings(file=str(CONFIG / "case-study.rego")))
    sensor = DeviceSettings(name="press", type="modbus")
    valve = DeviceSettings(name="valve", type="modbus", kind="actuator")
    assert collect_refusal(policy, sensor, gateway="gw", role="operator") is None
    assert collect_refusal(policy, valve, gateway="gw", role="operator") == (
        "not read: the policy denies it (data.industrial.allow is false for this request)"
    )
    assert collect_refusal(policy, sensor, gateway="gw", role="visitor") is not None


PROGRAM = """
import json, sys
from pathlib import Path
from gateway.check import load
from gateway.policy import load_policy
import gateway.app
load_policy(load(Path(sys.argv[1])).policy)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize(("section", "loaded"), [("", False), (f'[policy]\nfile = "{CONFIG}/policy.rego"\n', True)])
def test_the_interpreter_is_loaded_only_for_a_file(tmp_path, section, loaded):
    file = tmp_path / "config.toml"
    file.write_text(section)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    modules = json.loads(ended.stdout)
    assert ("regopy" in modules) is loaded
    assert "textual" not in modules

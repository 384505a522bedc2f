import pytest

from gateway.config.keys import is_secret
from gateway.config.models import UplinkSettings
from gateway.config.reader import read_config, read_draft
from gateway.errors import ConfigError
from tests.gateway.config.bench_model import MODELS

DEVICE = '[[devices]]\nname = "rig"\ntype = "bench"\nhost = "a"\n%s\ntags = [{ name = "t", channel = 1 }]\n'


def read(folder, text, **env):
    path = folder / "config.toml"
    path.write_text(text)
    return read_config(path, models=MODELS, env=env)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\n\n", "hunter2\n"),
        (b" hunter2 ", " hunter2 "),
        (b"${HOME}", "${HOME}"),
    ],
)
def test_a_secret_is_the_files_content(tmp_path, content, secret):
    (tmp_path / "secret").write_bytes(content)
    config = read(tmp_path, '[uplink]\nhost = "b"\npassword_file = "secret"\n')
    assert config.uplink.password == secret


def test_every_models_secrets_can_be_files(tmp_path):
    (tmp_path / "one").write_text("first\n")
    (tmp_path / "two").write_text("second\n")
    text = DEVICE % 'password_file = "${DIR}/one"\nkey_password_file = "two"'
    (device,) = read(tmp_path, text, DIR=str(tmp_path)).devices
    assert (device.password, device.key_password) == ("first", "second")


@pytest.mark.parametrize(
    ("keys", "where", "words"),
    [
        ('password = "a"\npassword_file = "one"', "password_file", "keep one of the two"),
        ('password_file = "nowhere"', "password_file", "there is no such file"),
        ('password_file = "."', "password_file", "this is a folder"),
        ('password_file = "empty"', "password_file", "the file is empty"),
        ('password_file = "large"', "password_file", "is larger than"),
        ('password_file = "binary"', "password_file", "is not UTF-8"),
        ("password_file = 5", "password_file", "expected the path of the file"),
        ('password_file = "${NOT_SET}"', "password_file", "the environment variable NOT_SET is not set"),
        ("password = 31415926", "password", "found a value that is not shown"),
        ('passwort = "31415926"', "passwort", 'did you mean "password"?'),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_without_it(tmp_path, keys, where, words):
    for name, content in (("empty", b"\n"), ("large", b"31415926" * 10_000), ("binary", b"31415926\xff")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read(tmp_path, '[uplink]\nhost = "b"\n' + keys)
    (problem,) = error.value.problems
    assert problem.where == f"uplink.{where}"
    assert words in problem.what
    assert "31415926" not in str(error.value)


def test_no_repr_shows_a_secret(tmp_path):
    text = '[uplink]\nhost = "b"\npassword = "hunter2"\n' + DEVICE % 'password = "hunter3"\nkey_password = "hunter4"'
    config = read(tmp_path, text)
    for text in (repr(config), str(config), f"{config.devices}"):
        assert "hunter" not in text
    assert "password=(hidden)" in repr(config.uplink)
    assert repr(UplinkSettings(host="b")).count("password=None") == 1


def test_a_drafts_repr_shows_no_secret(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[uplink]\nhost = "b"\npassword = "hunter2"\n[log]\nlevel = 5\n')
    assert "hunter2" not in repr(read_draft(path, models=MODELS, env={}))


@pytest.mark.parametrize(
    ("key", "secret"),
    [("password", True), ("key_password", True), ("password_file", False), ("username", False), ("passwords", False)],
)
def test_which_keys_are_secrets(key, secret):
    assert is_secret(key) is secret

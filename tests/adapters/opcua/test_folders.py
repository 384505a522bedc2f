"""The certificate folders, and what `tidegate pki` does to them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.opcua.pki.certificates import Certificate, read_certificate
from adapters.opcua.pki.folders import MOST_REJECTED, Pki, file_name
from gateway.cli import main
from gateway.errors import TidegateError
from tests.adapters.opcua.certificates import NOW, crl, make, rsa_key

OWN = make()
ROOT = make("root", key=rsa_key(1), ca=True, uri=None, hosts=())
THUMB = read_certificate(OWN.der).thumbprint


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    folder = Pki(tmp_path / "pki")
    folder.keep_rejected(OWN.der)
    return folder


def told(capsys: pytest.CaptureFixture, *args: object, status: int = 0) -> str:
    assert main(["pki", *map(str, args)]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def names(pki: Pki, place: str) -> list[str]:
    return sorted(path.name for path in (pki.folder / place).iterdir()) if (pki.folder / place).exists() else []


def test_a_rejected_certificate_is_kept_once(pki: Pki) -> None:
    (path,) = (pki.folder / "rejected").iterdir()
    before = path.stat()
    assert pki.keep_rejected(OWN.der) == path
    assert path.stat() == before  # a server that asks every second wears no flash
    assert path.name == f"plc-{THUMB[:16]}.der"
    assert path.read_bytes() == OWN.der


def test_a_server_that_makes_up_certificates_fills_no_disk(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    made = [make(f"plc {number}") for number in range(MOST_REJECTED + 5)]
    for number, one in enumerate(made):
        os.utime(pki.keep_rejected(one.der), ns=(number, number))
    kept = {entry.certificate.der for entry in pki.entries() if entry.certificate}
    assert kept == {one.der for one in made[5:]}


@pytest.mark.parametrize("name", ["../../etc/passwd", ".hidden", "/", "a" * 300, "ä" * 100, "\x00", "CON\n"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    try:
        made = make(name[:64])
    except ValueError:
        return  # no certificate can be called that
    path = Pki(tmp_path / "pki").keep_rejected(made.der)
    assert path is not None
    assert path.parent == tmp_path / "pki" / "rejected"
    assert path.exists()
    assert not path.name.startswith(".")


def test_two_certificates_of_one_name_are_two_files() -> None:
    assert file_name(read_certificate(make().der)) != file_name(read_certificate(make().der))


def test_what_cannot_be_kept_is_no_failure_of_ours(tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("a file")
    assert Pki(tmp_path / "pki").keep_rejected(OWN.der) is None
    assert Pki(tmp_path / "other").keep_rejected(b"nonsense") is None


def test_what_is_trusted_is_read_anew_each_time(pki: Pki) -> None:
    assert pki.store().trusted == ()
    pki.move(pki.find(THUMB, "rejected"), "trusted")
    assert pki.store().trusted == (OWN.der,)
    (pki.folder / "trusted" / "plant.pem").write_bytes(ROOT.pem)  # copied by hand
    assert set(pki.store().trusted) == {OWN.der, ROOT.der}


def test_files_that_cannot_be_used_are_named(pki: Pki) -> None:
    for place in ("trusted", "issuers", "crl"):
        (pki.folder / place).mkdir()
        (pki.folder / place / "junk").write_bytes(b"nonsense")
        (pki.folder / place / ".part").write_bytes(b"half")
        (pki.folder / place / "huge").write_bytes(bytes(2 << 20))
    (pki.folder / "crl" / "root.crl").write_bytes(crl(ROOT))
    store = pki.store()
    assert (store.trusted, store.issuers, store.crls) == ((), (), (crl(ROOT),))
    assert len(store.unusable) == 6
    assert all("junk" in text or "huge" in text for text in store.unusable)


@pytest.mark.parametrize(
    "written",
    [
        lambda digits: digits,
        lambda digits: digits[:4].lower(),
        lambda digits: " ".join(digits[at : at + 2] for at in range(0, 40, 2)),
        lambda digits: ":".join([digits[:2], digits[2:8]]),
    ],
    ids=["whole", "its beginning", "in pairs", "with colons"],
)
def test_a_certificate_is_found_by_how_a_person_writes_its_thumbprint(written: Callable[[str], str], pki: Pki) -> None:
    assert pki.find(written(THUMB), "rejected").certificate.der == OWN.der


def test_it_is_found_by_its_sha256_and_by_its_file(pki: Pki) -> None:
    assert pki.find(read_certificate(OWN.der).fingerprint[:12], "rejected").certificate.der == OWN.der
    assert pki.find(names(pki, "rejected")[0], "rejected").certificate.der == OWN.der


@pytest.mark.parametrize("text", [THUMB[:3], "FFFF0000", "", "plc"], ids=["too short", "another", "nothing", "a name"])
def test_what_is_not_there_is_said(text: str, pki: Pki) -> None:
    with pytest.raises(TidegateError, match="no certificate"):
        pki.find(text, "rejected")


def test_two_that_are_meant_are_both_named(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    seen: dict[str, Certificate] = {}
    while (one := read_certificate(make().der)).thumbprint[:4] not in seen:
        seen[one.thumbprint[:4]] = one
    pki.add(one, "trusted")
    pki.add(seen[one.thumbprint[:4]], "issuers")
    with pytest.raises(TidegateError, match="more than one"):
        pki.find(one.thumbprint[:4], "trusted", "issuers")
    assert pki.find(one.thumbprint[:4], "trusted").certificate == one


def test_one_that_stands_in_two_folders_is_rejected_from_both(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pki = Pki(tmp_path)
    pki.add(read_certificate(ROOT.der), "trusted")
    pki.add(read_certificate(ROOT.der), "issuers")
    told(capsys, "reject", read_certificate(ROOT.der).thumbprint, "--pki", tmp_path)
    assert (names(pki, "trusted"), names(pki, "issuers"), len(names(pki, "rejected"))) == ([], [], 1)


def test_list_shows_each_folder(pki: Pki, capsys: pytest.CaptureFixture) -> None:
    pki.add(read_certificate(ROOT.der), "trusted")
    pki.add(read_certificate(make("old", ends=NOW.replace(year=2021)).der), "trusted")
    (pki.folder / "trusted" / "junk").write_bytes(b"nonsense")
    text = told(capsys, "list", "--pki", pki.folder)
    own, trusted, issuers, rejected, lists = text.split("\n\n")[1:]
    assert own == "this gateway\n  none"
    assert "root, may issue others" in trusted
    assert "expired on 2021-06-01  old" in trusted
    assert "junk: it cannot be read" in trusted
    assert issuers.endswith("  none")
    assert f"{THUMB[:16]}  until 2120-01-01  plc, urn:tidegate:test:plc" in rejected
    assert lists.startswith("revocation lists: 0")


def test_list_as_json(pki: Pki, capsys: pytest.CaptureFixture) -> None:
    (one,) = json.loads(told(capsys, "list", "--json", "--pki", pki.folder))
    assert (one["folder"], one["thumbprint"], one["hosts"]) == ("rejected", THUMB, ["localhost", "127.0.0.1"])


def test_the_configuration_tells_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[database]\npath = "spool/tidegate.db"\n')
    assert told(capsys, "list", "--config", config).startswith(f"{tmp_path}/spool/pki\n")
    config.write_text('[pki]\nfolder = "certificates"\n')
    assert told(capsys, "list", "--config", config).startswith(f"{tmp_path}/certificates\n")


def test_show_tells_what_to_compare(pki: Pki, capsys: pytest.CaptureFixture) -> None:
    text = told(capsys, "show", THUMB[:8], "--pki", pki.folder)
    assert "rejected: shown by servers" in text
    assert "urn:tidegate:test:plc" in text
    assert "localhost, 127.0.0.1" in text
    assert " ".join(THUMB[at : at + 4] for at in range(0, 40, 4)) in text


def test_trust_and_reject_move_it(pki: Pki, capsys: pytest.CaptureFixture) -> None:
    said = told(capsys, "trust", THUMB[:8], "--pki", pki.folder)
    assert "trusted: 'plc'" in said
    assert "nothing has to be restarted" in said
    assert (names(pki, "trusted"), names(pki, "rejected")) == ([f"plc-{THUMB[:16]}.der"], [])
    assert "is there already" in told(capsys, "trust", THUMB[:8], "--pki", pki.folder)
    assert "rejected: 'plc'" in told(capsys, "reject", THUMB[:8], "--pki", pki.folder)
    assert (names(pki, "trusted"), names(pki, "rejected")) == ([], [f"plc-{THUMB[:16]}.der"])
    assert "is rejected already" in told(capsys, "reject", THUMB[:8], "--pki", pki.folder)


def test_a_file_from_a_stick_can_be_trusted(pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    stick = tmp_path / "root.pem"
    stick.write_bytes(ROOT.pem)
    assert "every server that has one of them is trusted" in told(capsys, "trust", stick, "--pki", pki.folder)
    assert pki.store().trusted == (ROOT.der,)
    assert "kept as an issuer" in told(capsys, "trust", stick, "--issuer", "--pki", pki.folder)
    assert pki.store().issuers == (ROOT.der,)
    stick.write_bytes(b"nonsense")
    assert "holds no certificate" in told(capsys, "trust", stick, "--pki", pki.folder, status=1)


def test_what_expired_is_trusted_with_a_note(pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "old.der").write_bytes(make(ends=NOW.replace(year=2021)).der)
    assert "Note: it expired on 2021-06-01" in told(capsys, "trust", tmp_path / "old.der", "--pki", pki.folder)


def test_a_damaged_certificate_is_not_trusted(pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "bad.der").write_bytes(OWN.der[:-1] + bytes([OWN.der[-1] ^ 1]))
    assert "signature under itself is wrong" in told(
        capsys, "trust", tmp_path / "bad.der", "--pki", pki.folder, status=1
    )
    assert pki.store().trusted == ()


def test_a_folder_that_may_not_be_written_is_said(pki: Pki, capsys: pytest.CaptureFixture) -> None:
    (pki.folder / "issuers").write_text("a file")
    (pki.folder / "stick.der").write_bytes(ROOT.der)
    said = told(capsys, "trust", pki.folder / "stick.der", "--issuer", "--pki", pki.folder, status=1)
    assert "Run this as the gateway's user" in said
    assert "cannot be read" in told(capsys, "list", "--pki", pki.folder, status=1)

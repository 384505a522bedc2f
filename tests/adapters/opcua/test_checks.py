"""Which checks a certificate fails: one row for each way to be wrong, and bytes that nobody issued."""

import datetime as dt

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.opcua.pki.certificates import read_certificate, split_chain
from adapters.opcua.pki.checks import IGNORABLE, Check, failed_checks
from tests.adapters.opcua.certificates import LATER, LONG_AGO, NOW, SERVER_URI, Made, crl, ec_key, make, rsa_key

ROOT = make("root", key=rsa_key(1), ca=True, uri=None, hosts=())
OTHER_ROOT = make("root", key=rsa_key(2), ca=True, uri=None, hosts=())
MIDDLE = make("middle", key=rsa_key(3), ca=True, path_length=0, issuer=ROOT, uri=None, hosts=())
BELOW = make("below", key=rsa_key(4), ca=True, issuer=MIDDLE, uri=None, hosts=())
NO_CA = make("no ca", key=rsa_key(5), issuer=ROOT, uri="urn:other", usage=("digital_signature", "key_cert_sign"))
OLD_ROOT = make("old root", key=rsa_key(6), ca=True, uri=None, hosts=(), ends=NOW - dt.timedelta(days=1))
OWN = make()
ISSUED = make(issuer=ROOT)
BELOW_MIDDLE = make(issuer=MIDDLE)
SIX = make("six", hosts=("::1",))
PLAIN = make("plain", usage=None, purposes=None, ca=None)
ANY = make("any", purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,))
DAY = dt.timedelta(days=1)


def damaged(made: Made) -> bytes:
    """The same certificate with one bit of its signature changed."""
    return made.der[:-5] + bytes([made.der[-5] ^ 1]) + made.der[-4:]


def fails(
    *chain: Made | bytes,
    trusted: tuple[Made, ...] = (),
    issuers: tuple[Made, ...] = (),
    crls: tuple[bytes, ...] = (),
    now: dt.datetime = NOW,
    host: str = "127.0.0.1",
    uri: str = SERVER_URI,
    ignored: tuple[str, ...] = (),
) -> dict[Check, str]:
    found = failed_checks(
        [one if isinstance(one, bytes) else one.der for one in chain],
        trusted=[one.der for one in trusted],
        issuers=[one.der for one in issuers],
        crls=crls,
        now=now,
        host=host,
        application_uri=uri,
        ignored=ignored,
    )
    return {one.check: one.what for one in found}


@pytest.mark.parametrize(
    "asked",
    [
        {"chain": [OWN], "trusted": (OWN,)},
        {"chain": [ISSUED], "trusted": (ROOT,)},
        {"chain": [ISSUED], "trusted": (ISSUED,)},  # its bytes are known: it needs no issuer
        {"chain": [ISSUED], "trusted": (ISSUED,), "issuers": (OTHER_ROOT,)},
        {"chain": [ISSUED], "trusted": (OTHER_ROOT, ROOT)},  # a root that got a new key
        {"chain": [BELOW_MIDDLE], "trusted": (ROOT,), "issuers": (MIDDLE,)},
        {"chain": [BELOW_MIDDLE, MIDDLE], "trusted": (ROOT,)},  # the server sends its issuer along
        {"chain": [BELOW_MIDDLE], "trusted": (MIDDLE,)},  # up to the trusted one, no further
        {"chain": [ISSUED], "trusted": (ROOT,), "crls": (crl(ROOT),)},
        {"chain": [ISSUED], "trusted": (ROOT,), "crls": (crl(ROOT, OWN, until=NOW - DAY),)},
        {"chain": [ISSUED], "trusted": (ROOT,), "crls": (crl(OTHER_ROOT), crl(ROOT))},
        {"chain": [OWN], "trusted": (OWN,), "host": "LOCALHOST."},
        {"chain": [SIX], "trusted": (SIX,), "host": "0:0:0:0:0:0:0:1"},
        {"chain": [SIX], "trusted": (SIX,), "host": "::1%eth0"},
        {"chain": [PLAIN], "trusted": (PLAIN,)},
        {"chain": [ANY], "trusted": (ANY,)},
        {"chain": [OWN], "trusted": (OWN,), "now": LATER},
        {"chain": [OWN], "trusted": (OWN,), "now": LONG_AGO},
    ],
)
def test_what_may_be_used(asked: dict) -> None:
    assert fails(*asked.pop("chain"), **asked) == {}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # whom it is from
        ({"chain": [OWN]}, {Check.TRUST: "signed itself"}),
        ({"chain": [OWN], "issuers": (OWN,)}, {Check.TRUST: "signed itself"}),
        ({"chain": [ISSUED]}, {Check.TRUST: "'root'", Check.ISSUER_UNKNOWN: "issued by 'root'"}),
        ({"chain": [ISSUED, ROOT]}, {Check.TRUST: "'root'"}),  # whoever sends an issuer along does not make it trusted
        ({"chain": [ISSUED], "issuers": (ROOT,)}, {Check.TRUST: "'root'"}),
        ({"chain": [ISSUED], "trusted": (OTHER_ROOT,)}, {Check.TRUST: "'root'", Check.SIGNATURE: "did not sign"}),
        ({"chain": [BELOW_MIDDLE], "trusted": (ROOT,)}, {Check.TRUST: "'middle'", Check.ISSUER_UNKNOWN: "'middle'"}),
        ({"chain": [damaged(OWN)]}, {Check.TRUST: "signed itself", Check.SIGNATURE: "under itself"}),
        ({"chain": [damaged(ISSUED)], "trusted": (ROOT,)}, {Check.TRUST: "'root'", Check.SIGNATURE: "did not sign"}),
        # who may issue
        ({"chain": [make(issuer=NO_CA)], "trusted": (NO_CA,)}, {Check.ISSUER: "'no ca' may not issue"}),
        (
            {"chain": [make("stolen", issuer=OWN, key=rsa_key(7))], "trusted": (OWN,)},
            {Check.ISSUER: "'plc' may not issue"},
        ),
        (
            {"chain": [make(issuer=BELOW)], "issuers": (BELOW, MIDDLE), "trusted": (ROOT,)},
            {Check.ISSUER: "below 'middle'"},
        ),
        # revoked
        (
            {"chain": [ISSUED], "trusted": (ROOT,), "crls": (crl(ROOT, ISSUED),)},
            {Check.REVOKED: "'root' has revoked 'plc'"},
        ),
        (
            {"chain": [ISSUED], "trusted": (ISSUED,), "issuers": (ROOT,), "crls": (crl(ROOT, ISSUED),)},
            {Check.REVOKED: "'plc'"},
        ),
        (
            {"chain": [ISSUED], "trusted": (ROOT,), "crls": (crl(ROOT, ISSUED, until=NOW - DAY),)},
            {Check.REVOKED: "'plc'"},
        ),
        (
            {"chain": [BELOW_MIDDLE], "issuers": (MIDDLE,), "trusted": (ROOT,), "crls": (crl(ROOT, MIDDLE),)},
            {Check.REVOKED: "'middle'"},
        ),
        (
            {"chain": [ISSUED], "trusted": (ROOT,), "crls": (crl(ROOT, signer=OTHER_ROOT),)},
            {Check.REVOCATION_LIST: "not signed by it"},
        ),
        # when
        ({"chain": [OWN], "trusted": (OWN,), "now": LATER + DAY}, {Check.EXPIRED: "clock says 2120-01-02"}),
        ({"chain": [OWN], "trusted": (OWN,), "now": LONG_AGO - DAY}, {Check.NOT_YET_VALID: "clock says 2019-12-31"}),
        ({"chain": [make(issuer=OLD_ROOT)], "trusted": (OLD_ROOT,)}, {Check.EXPIRED: "its issuer 'old root'"}),
        # for whom
        (
            {"chain": [OWN], "trusted": (OWN,), "host": "10.0.0.5"},
            {Check.HOST_NAME: "127.0.0.1, and the server was reached as 10.0.0.5"},
        ),
        ({"chain": [OWN], "trusted": (OWN,), "host": "plc"}, {Check.HOST_NAME: "reached as plc"}),
        ({"chain": [make(hosts=())]}, {Check.HOST_NAME: "names no host", Check.TRUST: ""}),
        ({"chain": [OWN], "trusted": (OWN,), "uri": "urn:else"}, {Check.APPLICATION_URI: "calls itself urn:else"}),
        ({"chain": [OWN], "trusted": (OWN,), "uri": ""}, {Check.APPLICATION_URI: "does not say"}),
        ({"chain": [make(uri=None)]}, {Check.APPLICATION_URI: "names no application", Check.TRUST: ""}),
        # for what
        ({"chain": [make(usage=("digital_signature",))]}, {Check.KEY_USAGE: "sign and to encrypt", Check.TRUST: ""}),
        ({"chain": [make(purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))]}, {Check.KEY_USAGE: "server", Check.TRUST: ""}),
        ({"chain": [make(key=rsa_key(0, 1024))]}, {Check.WEAK: "1024 bits", Check.TRUST: ""}),
        ({"chain": [make(key=ec_key())]}, {Check.KEY: "no RSA key", Check.TRUST: ""}),
        # not a certificate at all
        ({"chain": []}, {Check.READABLE: "sent none"}),
        ({"chain": [b""]}, {Check.READABLE: ""}),
        ({"chain": [b"\x30\x03\x02\x01\x05"]}, {Check.READABLE: ""}),
        ({"chain": [OWN.der + b"\x00"], "trusted": (OWN,)}, {Check.READABLE: ""}),
        ({"chain": [OWN.der[:-1]]}, {Check.READABLE: ""}),
    ],
)
def test_each_way_to_be_wrong_is_named(asked: dict, expected: dict[Check, str]) -> None:
    found = fails(*asked.pop("chain"), **asked)
    assert found.keys() == expected.keys()
    for check, text in expected.items():
        assert text in found[check]


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = fails(make(ends=NOW - DAY), host="plc", uri="urn:else")
    assert found.keys() == {Check.TRUST, Check.EXPIRED, Check.HOST_NAME, Check.APPLICATION_URI}


@pytest.mark.parametrize("check", sorted(IGNORABLE))
def test_a_check_that_may_be_left_out_is_left_out_alone(check: Check) -> None:
    wrong = make(ends=NOW - DAY, hosts=(), uri=None, usage=("digital_signature",), key=rsa_key(0, 1024))
    early = make(begins=NOW + DAY, hosts=(), uri=None, usage=("digital_signature",), key=rsa_key(0, 1024))
    before = fails(wrong) | fails(early)
    after = fails(wrong, ignored=(check,)) | fails(early, ignored=(check,))
    assert check in before
    assert before.keys() - after.keys() == {check}


@pytest.mark.parametrize("check", sorted(set(Check) - IGNORABLE))
def test_whether_somebody_is_trusted_cannot_be_left_out(check: Check) -> None:
    revoked = crl(ROOT, ISSUED)
    every = (check, "trust", "signature", "everything")
    assert Check.TRUST in fails(OWN, ignored=every)
    assert Check.SIGNATURE in fails(damaged(OWN), ignored=every)
    assert Check.REVOKED in fails(ISSUED, trusted=(ROOT,), crls=(revoked,), ignored=every)


def test_files_that_are_no_certificates_help_nobody_and_harm_nobody() -> None:
    found = failed_checks(
        [OWN.der, b"nonsense"],
        trusted=[b"nonsense", OWN.der],
        issuers=[b""],
        crls=[b"nonsense"],
        now=NOW,
        host="127.0.0.1",
        application_uri=SERVER_URI,
    )
    assert found == []


def test_two_issuers_that_issued_each_other_end_the_search() -> None:
    first = make("first", key=rsa_key(1), ca=True, issuer=make("second", key=rsa_key(2), ca=True))
    second = make("second", key=rsa_key(2), ca=True, issuer=make("first", key=rsa_key(1), ca=True))
    assert Check.TRUST in fails(make(issuer=first), issuers=(first, second))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_hostile_bytes_are_refused_and_never_more(data: st.DataObject) -> None:
    """Nothing but the trusted bytes themselves passes, and whatever comes is an answer, not an accident."""
    good = data.draw(st.sampled_from([OWN.der, ISSUED.der, ROOT.der]))
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.integers(0, 3))
    wild = good[:at] + data.draw(st.binary(max_size=4)) + good[at + cut :]
    found = failed_checks(
        [wild, wild],
        trusted=[OWN.der, ROOT.der],
        issuers=[wild],
        crls=[wild],
        now=NOW,
        host="127.0.0.1",
        application_uri=SERVER_URI,
    )
    assert found or wild in (OWN.der, ISSUED.der)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([OWN.der, ISSUED.der, ROOT.der]), max_size=5))
def test_a_chain_comes_apart_into_its_certificates(chain: list[bytes]) -> None:
    assert split_chain(b"".join(chain)) == chain


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 50))
def test_what_is_no_chain_is_said_to_be_none(tail: bytes, cut: int) -> None:
    try:
        parts = split_chain(OWN.der[: len(OWN.der) - cut] + tail)
    except ValueError:
        return
    assert b"".join(parts) == OWN.der[: len(OWN.der) - cut] + tail


def test_a_certificate_tells_what_a_person_compares() -> None:
    one = read_certificate(OWN.der)
    assert (one.name, one.issuer, one.uris, one.key_bits) == ("plc", "plc", (SERVER_URI,), 2048)
    assert one.hosts == ("localhost", "127.0.0.1")
    assert len(one.thumbprint) == 40
    assert len(one.fingerprint) == 64


def test_a_name_with_control_characters_does_not_reach_the_screen() -> None:
    assert "\x1b" not in read_certificate(make("evil\x1b[2J").der).name

"""Which endpoint and which log-in are taken, and what is said where none fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.endpoints import AUTO, NONE, POLICIES, Offer, Token, choose_endpoint, choose_token

MODES = ("Sign", "SignAndEncrypt")


def offers(*texts: str) -> list[Offer]:
    """Offers out of texts such as `Basic256Sha256/Sign`."""
    return [Offer(policy, mode or NONE, b"x", "urn:plc") for policy, _, mode in (text.partition("/") for text in texts)]


EVERYTHING = offers("None", *(f"{policy}/{mode}" for policy in ("Basic256", *POLICIES[::-1]) for mode in MODES))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", MODES)
def test_what_was_asked_for_is_taken(policy: str, mode: str) -> None:
    assert choose_endpoint(EVERYTHING, policy, mode)[:2] == (policy, mode)


@pytest.mark.parametrize(
    ("on_offer", "taken"),
    [
        (EVERYTHING, "Aes256_Sha256_RsaPss"),
        (offers("None", "Aes128_Sha256_RsaOaep/SignAndEncrypt", "Basic256Sha256/SignAndEncrypt"), "Basic256Sha256"),
        (offers("Aes128_Sha256_RsaOaep/SignAndEncrypt", "Basic256Sha256/Sign"), "Aes128_Sha256_RsaOaep"),
    ],
)
def test_auto_takes_the_strongest(on_offer: list[Offer], taken: str) -> None:
    assert choose_endpoint(on_offer, AUTO, "SignAndEncrypt").policy == taken


@given(st.lists(st.sampled_from(EVERYTHING)), st.sampled_from([AUTO, *POLICIES]), st.sampled_from(MODES))
def test_nothing_weaker_than_asked_for_is_ever_taken(on_offer: list[Offer], security: str, mode: str) -> None:
    try:
        taken = choose_endpoint(on_offer, security, mode)
    except ValueError:
        wanted = POLICIES if security == AUTO else (security,)
        assert not any(offer.policy in wanted and offer.mode == mode for offer in on_offer)
        return
    assert taken in on_offer
    assert taken.mode == mode
    assert taken.policy in (POLICIES if security == AUTO else (security,))


@pytest.mark.parametrize(
    ("on_offer", "security", "mode", "says"),
    [
        (
            offers("None"),
            AUTO,
            "SignAndEncrypt",
            'it offers None. Enable it at the server; security = "None" would work',
        ),
        (offers("Basic256Sha256/Sign"), AUTO, "SignAndEncrypt", 'Set security_mode = "Sign"'),
        (
            offers("None", "Basic256Sha256/Sign", "Basic256Sha256/SignAndEncrypt"),
            "Aes256_Sha256_RsaPss",
            "SignAndEncrypt",
            'it offers None, Basic256Sha256 (Sign, SignAndEncrypt). Set security = "Basic256Sha256", or enable',
        ),
        (
            offers("Basic256Sha256/Sign"),
            "Aes256_Sha256_RsaPss",
            "SignAndEncrypt",
            'Set security = "Basic256Sha256" and security_mode = "Sign", or',
        ),
        (
            offers("Basic256Sha256/SignAndEncrypt"),
            NONE,
            "SignAndEncrypt",
            'with security None; it offers Basic256Sha256 (SignAndEncrypt). Set security = "Basic256Sha256"',
        ),
        (offers("Basic128Rsa15/Sign"), AUTO, "Sign", "it offers Basic128Rsa15 (Sign). Enable it at the server"),
        ([], "Basic256Sha256", "Sign", "it offers none at all"),
    ],
)
def test_what_is_on_offer_is_told(on_offer: list[Offer], security: str, mode: str, says: str) -> None:
    with pytest.raises(ValueError, match="the server offers no endpoint") as caught:
        choose_endpoint(on_offer, security, mode)
    assert says in str(caught.value)


def tokens(*texts: str) -> list[Token]:
    return [Token(kind, policy) for kind, _, policy in (text.partition("/") for text in texts)]


@pytest.mark.parametrize(
    ("on_offer", "kind", "policy", "mode", "place"),
    [
        ([], "UserName", NONE, NONE, -1),  # some servers do not tell
        (tokens("Anonymous/None", "UserName"), "Anonymous", "Basic256Sha256", "Sign", 0),
        # a password is encrypted where there is any way to
        (tokens("UserName/None", "UserName/Basic256Sha256"), "UserName", NONE, NONE, 1),
        (tokens("UserName/Basic128Rsa15", "UserName/Basic256"), "UserName", NONE, NONE, 1),
        (tokens("UserName/Basic256", "UserName/Aes256_Sha256_RsaPss"), "UserName", NONE, NONE, 1),
        (tokens("UserName/None", "UserName"), "UserName", "Basic256Sha256", "Sign", 1),
        (tokens("UserName/None"), "UserName", NONE, NONE, 0),
        # inside an encrypted channel it is encrypted already
        (tokens("UserName/Basic128Rsa15", "UserName/None"), "UserName", "Basic256Sha256", "SignAndEncrypt", 1),
        (tokens("UserName/ECC_nistP256", "UserName/Basic256Sha256"), "UserName", NONE, NONE, 1),
        (tokens("Certificate/None", "Certificate/Basic256Sha256"), "Certificate", NONE, NONE, 1),
        (tokens("Certificate"), "Certificate", "Basic256Sha256", "SignAndEncrypt", 0),
    ],
)
def test_the_best_way_to_log_in_is_taken(on_offer: list[Token], kind: str, policy: str, mode: str, place: int) -> None:
    assert choose_token(on_offer, kind, policy=policy, mode=mode) == place


@pytest.mark.parametrize(
    ("on_offer", "kind", "policy", "mode", "says"),
    [
        (
            tokens("UserName"),
            "Anonymous",
            NONE,
            NONE,
            "no anonymous log-in .* user name .give username and password_file",
        ),
        (tokens("Anonymous"), "UserName", NONE, NONE, "no user name log-in .* anonymous .leave username"),
        (tokens("Anonymous"), "Certificate", NONE, NONE, "no user certificate log-in"),
        (tokens("IssuedToken"), "Anonymous", NONE, NONE, "none that is known here"),
        (tokens("UserName/ECC_nistP256"), "UserName", NONE, NONE, "protected by ECC_nistP256, which cannot"),
        (tokens("UserName/None"), "UserName", "Basic256Sha256", "Sign", 'security_mode = "SignAndEncrypt"'),
        (tokens("Certificate/None"), "Certificate", "Basic256Sha256", "Sign", "names no policy"),
        (tokens("Certificate"), "Certificate", NONE, NONE, "names no policy"),
    ],
)
def test_what_does_not_do_is_told(on_offer: list[Token], kind: str, policy: str, mode: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        choose_token(on_offer, kind, policy=policy, mode=mode)

"""Tokens that must not open anything: a table for each row of security.md's "Tokens and keys", with the reasons.

They are refused whatever keys are published, and however: a token is judged by its issuer's keys and by nothing else.
"""

import json
import zlib
from base64 import b64encode
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from .minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    OTHER_ISSUER,
    base64url,
    claims,
    ec_key,
    hmac_with,
    jwk,
    mint,
    part,
    rsa_key,
    sealed,
    signs,
)

PUBLIC = rsa_key().public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RS256 = signs(rsa_key(), "RS256")
EVIL = rsa_key("evil")
HEADER: dict[str, object] = {"alg": "RS256", "typ": "at+jwt", "kid": "rsa"}
GOOD = mint()
_FIRST, _SECOND, _THIRD = GOOD.split(".")

Table = dict[str, tuple[str, str]]
"""A name to a token and the reason for which it is refused."""


def header(**changes: object) -> dict[str, object]:
    return {name: value for name, value in (HEADER | changes).items() if value is not None}


def named(kid: object) -> str:
    """A well-signed token that names a key so."""
    return sealed(HEADER | {"kid": kid}, claims(), RS256)


def _with_payload(text: str) -> str:
    """A well-signed token whose payload is this text, in place of what JSON libraries would write."""
    return sealed(HEADER, text.encode(), RS256)


def _with_claim(text: str) -> str:
    """A well-signed token whose claims end with this text."""
    return _with_payload(json.dumps(claims(exp=None, nbf=None))[:-1] + f", {text}}}")


def forged(**parameters: object) -> str:
    """A token that brings the key which signed it."""
    return sealed(header(**parameters), claims(), signs(EVIL, "RS256"))


def _hmac(secret: bytes) -> str:
    return sealed(header(alg="HS256"), claims(), hmac_with(secret))


def _self_signed(key: rsa.RSAPrivateKey) -> str:
    """A certificate that the forger made, as `x5c` has it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer.example")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    dated = made.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
    return b64encode(dated.sign(key, SHA256()).public_bytes(Encoding.DER)).decode()


def _another_spelling(token: str) -> str:
    """The same signature with other trailing bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


NONE: Table = {
    "none": (sealed(header(alg="none"), claims(), lambda _: b""), "token_malformed"),
    "none with a signature": (sealed(header(alg="none"), claims(), RS256), "algorithm_not_allowed"),
    "nOnE": (sealed(header(alg="nOnE"), claims(), RS256), "algorithm_not_allowed"),
    "empty alg": (sealed(header(alg=""), claims(), RS256), "algorithm_not_allowed"),
    "no alg": (sealed(header(alg=None), claims(), RS256), "token_malformed"),
    "alg as a list": (sealed(header(alg=["RS256"]), claims(), RS256), "token_malformed"),
    "empty signature": (f"{_FIRST}.{_SECOND}.", "token_malformed"),
    "two parts": (f"{_FIRST}.{_SECOND}", "token_malformed"),
}
HMAC: Table = {
    "PEM": (_hmac(PEM), "algorithm_not_allowed"),
    "PEM without its line end": (_hmac(PEM.strip()), "algorithm_not_allowed"),
    "CRLF-PEM": (_hmac(PEM.replace(b"\n", b"\r\n")), "algorithm_not_allowed"),
    "DER": (_hmac(DER), "algorithm_not_allowed"),
    "JWK": (_hmac(json.dumps(jwk(rsa_key())).encode()), "algorithm_not_allowed"),
    "under RS256": (sealed(HEADER, claims(), hmac_with(PEM)), "signature_invalid"),
}
ALGORITHM_AGAINST_KEY: Table = {
    "PS256 signature under RS256": (sealed(HEADER, claims(), signs(rsa_key(), "PS256")), "signature_invalid"),
    "PS256 with a key for RS256": (mint(alg="PS256"), "algorithm_not_allowed"),
    "RS384 with a key for RS256": (mint(alg="RS384"), "algorithm_not_allowed"),
    "ES256 on P-384": (
        sealed(header(alg="ES256", kid="ec384"), claims(), signs(ec_key("P-384"), "ES384")),
        "algorithm_not_allowed",
    ),
    "ES256 naming an RSA key": (mint(key=ec_key(), alg="ES256"), "algorithm_not_allowed"),
    "RS256 naming an EC key": (mint(kid="ec"), "algorithm_not_allowed"),
}
KEY_FROM_THE_TOKEN: Table = {
    "jwk": (forged(jwk=jwk(EVIL)), "token_malformed"),
    "jwk without kid": (forged(jwk=jwk(EVIL), kid=None), "token_malformed"),
    "x5c, self-signed": (forged(x5c=[_self_signed(EVIL)]), "signature_invalid"),
    "x5c without kid": (forged(x5c=[_self_signed(EVIL)], kid=None), "signature_invalid"),
    "x5c that is none": (forged(x5c=[base64url(b"certificate")]), "signature_invalid"),
    "x5t": (forged(x5t="AAAA"), "signature_invalid"),
    "another key's signature": (forged(), "signature_invalid"),
}
KID: Table = {
    "path": (named("../../dev/null"), "key_unknown"),
    "SQL": (named("' OR 1=1 --"), "key_unknown"),
    "empty": (named(""), "key_unknown"),
    "line feed": (named("rsa\n"), "key_unknown"),
    "NUL": (named("rsa\x00"), "key_unknown"),
    "number": (named(1), "token_malformed"),
    "null": (named(None), "token_malformed"),
    "list": (named(["rsa"]), "token_malformed"),
    "object": (named({"kid": "rsa"}), "token_malformed"),
    "lone surrogate": (named("\ud800"), "token_malformed"),
    "20 kB": (named("k" * 15_000), "token_malformed"),
}
CRIT: Table = {
    "crit": (sealed(header(crit=["exp"]), claims(), RS256), "token_malformed"),
    "crit of an unknown extension": (sealed(header(crit=["x"], x=1), claims(), RS256), "token_malformed"),
    "empty crit": (sealed(header(crit=[]), claims(), RS256), "token_malformed"),
    "b64": (sealed(header(b64=False, crit=["b64"]), claims(), RS256), "token_malformed"),
    "b64 without crit": (sealed(header(b64=False), claims(), RS256), "token_malformed"),
}
SERIALISATION: Table = {
    "JSON serialisation": ('{"signatures":[]}', "token_malformed"),
    "detached": (f"{_FIRST}..{_THIRD}", "token_malformed"),
    "a fourth part": (f"{GOOD}.", "token_malformed"),
    "nothing": ("x", "token_malformed"),
    "dots": ("..", "token_malformed"),
}
NESTED: Table = {
    "JWE": (".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM"}), "a", "b", "c", "d"]), "token_malformed"),
    "enc": (sealed(header(enc="A256GCM"), claims(), RS256), "token_malformed"),
    "token in a token": (sealed(header(cty="JWT"), GOOD.encode(), RS256), "token_malformed"),
    "token as payload": (sealed(HEADER, GOOD.encode(), RS256), "token_malformed"),
    "zip": (sealed(header(zip="DEF"), claims(), RS256), "token_malformed"),
    "zip of 8 MB": (sealed(header(zip="DEF"), zlib.compress(bytes(8_000_000)), RS256), "token_malformed"),
}
JSON: Table = {
    "header is a list": (sealed([HEADER], claims(), RS256), "token_malformed"),
    "payload is a list": (sealed(HEADER, [claims()], RS256), "token_malformed"),
    "payload is no JSON": (sealed(HEADER, b"{", RS256), "token_malformed"),
    "UTF-16": (sealed(json.dumps(HEADER).encode("utf-16"), claims(), RS256), "token_malformed"),
    "byte order mark": (sealed(b"\xef\xbb\xbf" + json.dumps(HEADER).encode(), claims(), RS256), "token_malformed"),
    "not UTF-8": (sealed(HEADER, b'{"iss":"\xff"}', RS256), "token_malformed"),
    "duplicate alg": (sealed(b'{"alg":"none","alg":"RS256","kid":"rsa"}', claims(), RS256), "token_malformed"),
    "nested deeply": (_with_payload("[" * 9000), "token_malformed"),
}
CLAIM_TYPES: Table = {
    "exp as text": (_with_claim(f'"exp": "{NOW + 9}"'), "claim_invalid"),
    "exp NaN": (_with_claim('"exp": NaN'), "token_malformed"),
    "exp Infinity": (_with_claim('"exp": Infinity'), "token_malformed"),
    "exp 1e400": (_with_claim('"exp": 1e400'), "claim_invalid"),
    "exp 1e30": (_with_claim('"exp": 1e30'), "claim_invalid"),
    "exp negative": (_with_claim('"exp": -1'), "claim_invalid"),
    "exp true": (_with_claim('"exp": true'), "claim_invalid"),
    "exp list": (_with_claim('"exp": []'), "claim_invalid"),
    "exp null": (_with_claim('"exp": null'), "claim_invalid"),
    "exp twice": (_with_claim(f'"exp": 1, "exp": {NOW + 600}'), "token_malformed"),
    "exp of many digits": (_with_claim('"exp": ' + "9" * 5000), "token_malformed"),
    "no exp": (mint(claims(exp=None)), "claim_invalid"),
    "exp is now": (mint(claims(exp=NOW)), "token_expired"),
    "nbf false": (_with_claim(f'"exp": {NOW + 9}, "nbf": false'), "claim_invalid"),
    "nbf ahead": (mint(claims(nbf=NOW + 1)), "token_not_yet_valid"),
    "iat ahead": (mint(claims(iat=NOW + 60)), "token_not_yet_valid"),
    "cnf": (mint(claims(cnf={"jkt": "x"})), "proof_invalid"),
    "sub number": (mint(claims(sub=7)), "claim_invalid"),
    "client_id list": (mint(claims(client_id=["a"])), "claim_invalid"),
    "jti number": (mint(claims(jti=7)), "claim_invalid"),
}
AUD_AND_ISS: Table = {
    "aud of another": (mint(claims(aud="api-evil")), "audience_mismatch"),
    "aud longer": (mint(claims(aud=AUDIENCE + "/")), "audience_mismatch"),
    "aud shorter": (mint(claims(aud=AUDIENCE[:-1])), "audience_mismatch"),
    "aud in another case": (mint(claims(aud=AUDIENCE.upper())), "audience_mismatch"),
    "aud object": (mint(claims(aud={AUDIENCE: True})), "claim_invalid"),
    "aud list in a list": (mint(claims(aud=[[AUDIENCE]])), "claim_invalid"),
    "aud with a number": (mint(claims(aud=[AUDIENCE, 1])), "claim_invalid"),
    "aud empty": (mint(claims(aud=[])), "audience_mismatch"),
    "no aud": (mint(claims(aud=None)), "claim_invalid"),
    "iss shorter": (mint(claims(iss=ISSUER[:-1])), "issuer_untrusted"),
    "iss longer": (mint(claims(iss=ISSUER + "/")), "issuer_untrusted"),
    "iss list": (mint(claims(iss=[ISSUER])), "issuer_untrusted"),
    "iss in another case": (mint(claims(iss=ISSUER.upper())), "issuer_untrusted"),
    "no iss": (mint(claims(iss=None)), "issuer_untrusted"),
    "iss number": (mint(claims(iss=1)), "issuer_untrusted"),
}
CROSSED: Table = {
    "other issuer's name, our key": (mint(claims(iss=OTHER_ISSUER)), "signature_invalid"),
    "our name, other issuer's key": (mint(key=rsa_key("other")), "signature_invalid"),
    "unknown issuer": (mint(claims(iss="https://evil.example")), "issuer_untrusted"),
}
SPELLINGS: Table = {
    "padding": (f"{GOOD}=", "token_malformed"),
    "two of padding": (f"{GOOD}==", "token_malformed"),
    "question mark": (f"{GOOD}?", "token_malformed"),
    "trailing bits": (_another_spelling(GOOD), "token_malformed"),
    "standard alphabet": (
        f"{_FIRST}.{_SECOND}.+{_THIRD[1:].replace('-', '+').replace('_', '/')}",
        "token_malformed",
    ),
    "another signature byte": (
        f"{_FIRST}.{_SECOND}.{'A' if _THIRD[0] != 'A' else 'B'}{_THIRD[1:]}",
        "signature_invalid",
    ),
}
ROWS: dict[str, Table] = {
    "none, empty signature": NONE,
    "HMAC with a public key": HMAC,
    "algorithm against key": ALGORITHM_AGAINST_KEY,
    "key from the token": KEY_FROM_THE_TOKEN,
    "kid injection": KID,
    "crit, b64=false": CRIT,
    "JSON serialisation, detached": SERIALISATION,
    "nested, encrypted, zipped": NESTED,
    "JSON that readers read differently": JSON,
    "claim types": CLAIM_TYPES,
    "aud, iss": AUD_AND_ISS,
    "issuer and key crossed": CROSSED,
    "malleable spelling": SPELLINGS,
}
"""All of them, by the row's name."""

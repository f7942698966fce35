"""Masks secrets in text that was never meant for readers: messages of exceptions, what diagnostics print.

It knows forms (tokens of known services, JWTs, keys in PEM, card numbers by their check digit) and names (whatever
stands behind ``password``, ``token``, ``api_key`` ...). It masks too much rather than too little; a secret that has
neither form nor name it cannot know.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MASK = "***"

_LONGEST = 4000  # characters that are looked at; what is behind them is cut off
_NAMES = (
    r"pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_\- ]?key|access[_\- ]?key|private[_\- ]?key|account[_\- ]?key"
    r"|signing[_\- ]?key|encryption[_\- ]?key|credentials?|session[_\- ]?id|auth|cvv|cvc|pin|signature|sig|otp"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)", re.DOTALL
)
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]{0,30}(?:key|token|auth)[a-z-]{0,30})([\"']?\s{0,3}[:=]\s{0,3})[^\n]+",
    re.IGNORECASE,
)
_WEBHOOK = re.compile(
    r"(https://(?:\w{1,20}\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/|https://hooks\.slack\.com/)[^\s\"'<>]+",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"\b([a-z][a-z0-9+.\-]{0,30}://)[^\s/?#\"'<>]{1,500}@", re.IGNORECASE)
_SCHEME = re.compile(r"\b(bearer|basic|digest|negotiate|token)(\s+)[A-Za-z0-9._~+/\-]{6,}={0,2}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)*")
_TOKEN = re.compile(
    r"\b(?:"
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w\-]{16,}"  # GitHub, GitLab
    r"|xox[a-z]-[\w\-]{8,}|xapp-[\w\-]{8,}"  # Slack
    r"|(?:sk|pk|rk)[_\-](?:live|test|proj|ant)[_\-][\w\-]{8,}|sk-[A-Za-z0-9]{20,}|whsec_\w{8,}"  # Stripe, OpenAI
    r"|AIza[\w\-]{30,}|ya29\.[\w\-]{10,}"  # Google
    r"|SG\.[\w\-]{10,}\.[\w\-]{10,}|npm_\w{20,}|pypi-[\w\-]{16,}|hf_\w{20,}|dop_v1_\w{20,}|shp[a-z]{2}_\w{20,}"
    r"|[MNO][\w\-]{23,27}\.[\w\-]{6}\.[\w\-]{27,}|\d{8,10}:[\w\-]{35}"  # bots of Discord and Telegram
    r")"
)
# A name, quoted or not, also as the end of a longer one (DB_PASSWORD), and what it is said to be.
_NAMED = re.compile(
    rf"((?<![A-Za-z])(?:[\w.\-]{{0,40}}[_.\-])?(?:{_NAMES})s?\d{{0,2}}[\"']?(?:\s{{0,3}}(?:=>|->|:=|[:=])\s{{0,3}}|\s+(?:is|was)\s+)[rbu]?)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\s,;&\"'}\])]+)",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.!#$%&*+/=?^`{|}~\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})+")
_LONG = re.compile(
    r"(?<![\w/+])(?=[\w/+]{0,60}[0-9])(?=[\w/+]{0,60}[a-z])(?=[\w/+]{0,60}[A-Z])[A-Za-z0-9/+]{40}(?![\w/+])"
)
_DIGITS = re.compile(r"(?<!\d)\d+(?:[ \-.]\d+)*(?!\d)")
_GROUP = re.compile(r"\d+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,4})?\b")
_SOCIAL = re.compile(r"(?<![\d\-])\d{3}-\d{2}-\d{4}(?![\d\-])")
_CARD_LENGTHS = range(13, 20)


def masked(text: str) -> str:
    """The text with ``***`` in place of what looks like a secret; at most some thousand characters of it."""
    text = text[:_LONGEST]
    for mask in _MASKS:
        text = mask(text)
    return text


def _masked_cards(text: str) -> str:
    """Card numbers: 13 to 19 digits, whole groups of them, whose check digit (ISO/IEC 7812, Luhn) is right."""
    return _DIGITS.sub(lambda run: _without_cards(run.group()), text)


def _without_cards(run: str) -> str:
    groups = [(match.start(), match.end()) for match in _GROUP.finditer(run)]
    for first, (start, _) in enumerate(groups):
        for _, end in reversed(groups[first : first + len(_CARD_LENGTHS)]):
            digits = "".join(character for character in run[start:end] if character.isdigit())
            if len(digits) in _CARD_LENGTHS and _is_card(digits):
                return run[:start] + MASK + _without_cards(run[end:])
    return run


def _is_card(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0 and digits.strip("0") != ""


def _masked_accounts(text: str) -> str:
    """Bank accounts by their check digits (ISO 13616)."""
    return _IBAN.sub(lambda found: MASK if _is_account(found.group().replace(" ", "")) else found.group(), text)


def _is_account(iban: str) -> bool:
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


_MASKS: tuple[Callable[[str], str], ...] = (
    lambda text: _PRIVATE_KEY.sub(MASK, text),
    lambda text: _HEADER.sub(rf"\1\2{MASK}", text),
    lambda text: _WEBHOOK.sub(rf"\1{MASK}", text),
    lambda text: _USER_INFO.sub(rf"\1{MASK}@", text),
    lambda text: _SCHEME.sub(rf"\1\2{MASK}", text),
    lambda text: _JWT.sub(MASK, text),
    lambda text: _TOKEN.sub(MASK, text),
    lambda text: _NAMED.sub(rf"\1{MASK}", text),
    lambda text: _EMAIL.sub(MASK, text),
    lambda text: _LONG.sub(MASK, text),
    _masked_accounts,
    _masked_cards,
    lambda text: _SOCIAL.sub(MASK, text),
)

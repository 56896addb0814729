"""Tables and rules of `training.metrics.ptb_tokenizer`: what a token is, and how it is written.

Inferred by comparing outputs with Stanford CoreNLP 3.4.1's `PTBTokenizer`. The order of `RULES`
counts: of matches of the same length the earliest rule's wins. Only the group `t` of a pattern is
the token; what follows it must be there, and counts for the length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

# ---- characters ---------------------------------------------------------------------------------

# Marks that the tokeniser counts as letters (mostly combining ones; not every script's).
_MARK_RANGES = """
    02C2-02C5 02D2-02DF 02E5-02EB 02ED 02EF-036F 0375 0378-0379 0384-0385 03F6 0483-0487 055A-055F
    0591-05BD 05BF 05C1-05C2 05C4-05C5 05C7 0615-061A 064B-065E 0670 06D6-06E4 06E7-06ED 06FD-06FE
    070F 0711 0730-074C 07A6-07B0 07EB-07F3 0900-0903 093C 093E-094E 0951-0955 0962-0963 0981-0983
    09BC 09BE-09C4 09C7-09C8 09CB-09CD 09D7 09E2-09E3 0A01-0A03 0A3C 0A3E-0A4F 0A81-0A83 0ABC
    0ABE-0ACF 0B82 0BBE-0BC2 0BC6-0BC8 0BCA-0BCD 0C01-0C03 0C3E-0C56 0D3E-0D44 0D46-0D48 0E31
    0E34-0E3A 0E47-0E4E 0EB1 0EB4-0EBC 0EC8-0ECD"""
# Symbols that are a token each; other symbols are dropped.
_SYMBOL_RANGES = """
    00A1 00A5-00A9 00AC 00AE-00B1 00B4 00B6-00B8 00BF 00D7 00F7 037E 0387 0589 05BE 05C0 05C3 05C6
    05F3-05F4 0600-0603 0606-060C 0614 061B 061E-061F 066A 066D 06D4 0700-070D 07F6-07F8 0964-0965
    0E3F 0E4F 1FBD 2016-2017 201A 201E-2023 2030-2038 203B 203E-2042 207A-207E 208A-208E 20A4
    2100-2101 2103-2106 2108-2109 2114 2116-2118 211E-2123 2125 2127 2129 212E 213A-213B 2140-2144
    214A-214D 214F 2155-215E 2190-2BFF 3001-3002 3012 30FB FF01-FF0F FF1A-FF20 FF3B-FF40 FF5B-FF65
    FFE0-FFE1 FFE5-FFE6"""


def _ranges(table: str) -> str:
    """Turn "00A1 00A5-00A9" into the inside of a regex character class."""
    return "".join("-".join(rf"\u{end}" for end in r.split("-")) for r in table.split())


def _category(*categories: str) -> str:
    """The inside of a class of all characters up to U+FFFF in these Unicode categories."""
    found: list[str] = []
    start = None
    for code in range(0x10001):
        inside = code < 0x10000 and unicodedata.category(chr(code)) in categories
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            found.append(rf"\u{start:04x}-\u{code - 1:04x}")
            start = None
    return "".join(found)


_LETTERS = _category("Lu", "Ll", "Lt", "Lm", "Lo")
_DIGITS = _category("Nd")
_A = f"[{_LETTERS}]"
_D = f"[{_DIGITS}]"
_X = f"[{_LETTERS}{_DIGITS}]"
# Inside a word: marks, the soft hyphen (removed from the token) and HTML's accented vowels too.
_L = rf"(?:[{_LETTERS}{_ranges(_MARK_RANGES)}\u00ad]|&[aeiouAEIOU](?:acute|grave|uml);)"
_W = rf"(?:[{_LETTERS}{_DIGITS}{_ranges(_MARK_RANGES)}\u00ad]|&[aeiouAEIOU](?:acute|grave|uml);)"
_SPACES = r" \t\u00a0\u2000-\u200a\u3000"
# "\n" is the border between two captions: no token crosses it, but a look-ahead may.
_SPACE_OR_END = rf"[{_SPACES}\n\u0085]"
_APOS = r"(?:['\u0092\u2019]|&apos;)"
_APOS_LIKE = r"(?:['`\u0091\u0092\u2018\u2019\u201b]|&apos;)"
_APOS_CHARS = "'\u0092\u2019&"
_APOS_LIKE_CHARS = _APOS_CHARS + "`\u0091\u2018\u201b"

# ---- words --------------------------------------------------------------------------------------

# A missing space after a full stop does not end a word: "ground.A" is one token.
_WORD = f"{_L}{_W}*(?:[.!?]{_L}{_W}*)*"
_NUMBER = rf"(?:{_D}*(?:[.:,\u00ad\u066b\u066c]{_D}+)+|{_D}+)"
_CLITIC = "(?i:[msd]|re|ve|ll)"
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+\."
# "5x7", "12-year-old", "snow_white", "d'oeuvre", "tug-o'war"
_PART = f"(?:[dDoOlL]{_APOS_LIKE}{_X})?{_X}+"
_COMPOUND = f"{_PART}(?:[-_]{_PART})*"
_HYPHENATED = rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:{_ACRONYM}|[A-Za-z0-9\u00ad]+))+"

_FIRM = "[A-Z]+(?:(?:&(?i:amp;)|[+&])[A-Z]+)+"  # "AT&T"

# Abbreviations keep their full stop. Those of the first group lose to a longer word ("St.Ives").
_TITLES = """adj adm adv alex assoc asst atty ave brig capt cf cie cmdr col cpl dept det dr drs
    elec ens ft gen gov govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl
    pfc ph pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt vs wm""".split()
_ABBREVIATIONS = """ph.d ed.d al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp
    cos ct dak dec esq est etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar
    md mich minn mo mon mont neb nev nov oct okla penn plc rd rt sep sept seq sq sr sys tel tenn
    thu thurs tue tues univ va vt wed wis wisc wyo""".split()
# These are words too, so a capital is required …
_CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash".split()
# … and these need a number after them ("no. 5").
_BEFORE_NUMBER = "art ca fig figs no nos op pp prop".split()
# After a single letter with a full stop these words are taken to begin a new sentence.
_SENTENCE_STARTS = """A About According Additionally After An As At But Earlier He Her Here However
    If In It Last Many More Now Once One Other Our She Since So Some Such That The Their Then There
    These They This We What When While Yet You""".split()
_FILE_TYPES = """bat bmp c class cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov
    mp3 pdf php pl png ppt ps py sql tar txt wav x xml zip""".split()

# ---- what a token is written as -----------------------------------------------------------------

_BRACKETS = dict(zip("()[]{}", "-lrb- -rrb- -lsb- -rsb- -lcb- -rcb-".split(), strict=True))
_FRACTIONS = {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_QUOTES = {'"': "''"}
for _chars, _written in (
    ("\u0091\u2018\u201b\u2039", "`"),
    ("\u0092\u2019\u203a", "'"),
    ("\u0093\u201c\u00ab", "``"),
    ("\u0094\u201d\u00bb", "''"),
):
    _QUOTES.update(dict.fromkeys(_chars, _written))


def _unbroken(token: str) -> str:
    # A token with a space in it is written with no-break spaces, so that splitting leaves it whole.
    return re.sub("[ \t]", "\u00a0", token)


def _plain_ampersand(token: str) -> str:
    return re.sub("(?i)&amp;", "&", token)


def _round_brackets(token: str) -> str:
    return token.replace("(", "-lrb-").replace(")", "-rrb-")


def _quotes(token: str) -> str:
    return "".join(_QUOTES.get(c, c) for c in token.replace("&apos;", "'"))


# ---- rules --------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """`text` rewrites the token (None: as it is); `needs`: skip where none of these occurs."""

    pattern: re.Pattern[str]
    text: Callable[[str], str] | None
    needs: str


def _rule(pattern: str, text: Callable[[str], str] | None = None, needs: str = "") -> Rule:
    return Rule(re.compile(pattern), text, needs)


def _any(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


def _upper_too(words: Sequence[str]) -> str:
    return _any({*words, *(w.upper() for w in words)})


_NAME = "[A-Za-z][A-Za-z0-9:.-]*"
_TAG = (
    rf"<(?:[!?][A-Za-z-][^>\n]*|/?{_NAME}(?: +(?:{_NAME} *= *(?:'[^'\n]*'|\"[^\"\n]*\"|{_NAME})"
    rf"|{_NAME}))* */? *)>"
)
_URL_INSIDE, _URL_LAST = r"[^ \t\n\"<>|(){}]", r"[^ \t\n\"<>|.!?(){},-]"
_URL_PATH = rf"(?:/[^ \t\n\"<>|()]+{_URL_LAST})?"
_MOUTH = r"[()DPdpO\\{@|\[\]]"

RULES = (
    # White space as a run, so that no token begins in the middle of it.
    _rule(f"(?P<t>[{_SPACES}]+)", lambda _: ""),
    # Markup and entities.
    _rule(f"(?P<t>{_TAG})", _unbroken, "<"),
    _rule(
        r"(?P<t>&(?:MD|mdash|ndash);|[\u0096\u0097\u2013-\u2015])",
        lambda _: "--",
        "&\u0096\u0097\u2013\u2014\u2015",
    ),
    _rule("(?P<t>&(?i:amp);)", lambda _: "&", "&"),
    _rule("(?P<t>&(?i:lt);)", lambda _: "<", "&"),
    _rule("(?P<t>&(?i:gt);)", lambda _: ">", "&"),
    _rule("(?P<t>&(?i:nbsp);)", lambda _: "", "&"),
    _rule("(?P<t>&quot;)", lambda _: "''", "&"),
    _rule("(?P<t>&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);)", None, "&"),
    # Words made of two, and clitics: "can|not", "'t|is", "it|'s", "do|n't".
    _rule(
        "(?P<t>(?i:can(?=not)|gon(?=na)|wan(?=na)|got(?=ta)|lem(?=me)|gim(?=me)))(?i:not|na|ta|me)"
    ),
    _rule("(?P<t>'[tT])(?i:is|was)", None, "'"),
    _rule(f"(?P<t>{_WORD}){_APOS}{_CLITIC}", None, _APOS_CHARS),
    _rule(
        rf"(?P<t>[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*)[nN]{_APOS_LIKE}[tT]", None, _APOS_LIKE_CHARS
    ),
    _rule(f"(?P<t>{_APOS}{_CLITIC})[^A-Za-z]", _quotes, _APOS_CHARS),
    # Numbers: dates, times, decimals, fractions ("1 1/2" is one token), telephone numbers.
    _rule(f"(?P<t>{_D}{{1,2}}[-/]{_D}{{1,2}}[-/]{_D}{{2,4}})", None, "-/"),
    _rule(f"(?P<t>[-+]?{_NUMBER})"),
    _rule(
        rf"(?P<t>(?:{_D}{{1,4}}[- \u00a0])?{_D}{{1,4}}(?:\\?/|\u2044){_D}{{1,4}})",
        _unbroken,
        "/\u2044",
    ),
    _rule(
        r"(?P<t>(?:\([0-9]{2,3}\)[ \u00a0]?"
        r"|(?:\+\+?)?(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
        r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5}"
        r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5})",
        lambda token: _round_brackets(_unbroken(token)),
        " \u00a0-.(",
    ),
    # Words, and words with an apostrophe inside or at an end.
    _rule(f"(?P<t>{_WORD})"),
    _rule(
        f"(?P<t>{_APOS}(?i:n){_APOS}?|[lLdDjJ]{_APOS}|(?i:dunkin|somethin|ol){_APOS}"
        f"|{_APOS}(?i:em|till?|cause)|{_APOS}[2-9]0[sS]|(?i:o{_APOS_LIKE}o|cap{_APOS}n|c{_APOS}est)"
        r"|(?i:cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l))",
        None,
        _APOS_LIKE_CHARS,
    ),
    _rule(f"(?P<t>[A-HJ-XZn]{_APOS_LIKE}{_A}{_A}+)", None, _APOS_LIKE_CHARS),  # O'Brien
    _rule(f"(?P<t>{_APOS}{_D}{_D}){_SPACE_OR_END}", None, _APOS_CHARS),  # '68
    _rule(f"(?P<t>{_A}+[aeiouyAEIOUY]{_APOS_LIKE}[aeiouA-Z]{_A}*)", None, _APOS_LIKE_CHARS),
    _rule(f"(?P<t>[yY]{_APOS}){_A}", None, _APOS_CHARS),  # y'all
    _rule(r"(?P<t>')[A-Za-z][^ \t\n\u00a0]", None, "'"),  # an opening quote: 'no …'
    _rule(f"(?P<t>{_APOS}{_CLITIC})", _quotes, _APOS_CHARS),
    _rule(f"(?P<t>[nN]{_APOS_LIKE}[tT])", _quotes, _APOS_LIKE_CHARS),
    # Addresses, mentions.
    _rule(f"(?P<t>(?i:https?)://{_URL_INSIDE}+{_URL_LAST})", None, ":"),
    _rule(
        rf"(?P<t>(?i:www)\.(?:[^ \t\n\"<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}{_URL_PATH})", None, "."
    ),
    # The range "," to "_" leaves lower-case ASCII, a few symbols and everything beyond ASCII.
    _rule(
        rf"(?P<t>(?:[^ \t\n\"`'<>|.!?(){{}},-_$]+\.)+(?i:com|net|org|edu){_URL_PATH})", None, "."
    ),
    _rule(
        r"(?P<t>(?:&lt;|<)?[a-zA-Z0-9][^ \t\n\"<>|(){}\u00a0]*@(?:[^ \t\n\"<>|(){}.\u00a0]+\.)*"
        r"[^ \t\n\"<>|(){}.\u00a0]+(?:&gt;|>)?)",
        None,
        "@",
    ),
    _rule(f"(?P<t>@[A-Za-z_][A-Za-z_0-9]*|#{_L}+)", None, "@#"),
    # Full stops that belong to the word.
    _rule(
        rf"(?P<t>[A-Za-z])\.{_SPACE_OR_END}+"
        rf"(?:{_upper_too(_SENTENCE_STARTS)}|M[rs]\.|{_TAG}){_SPACE_OR_END}",
        None,
        ".",
    ),
    _rule(rf"(?P<t>{_ACRONYM}|[A-Za-z]\.)", None, "."),
    _rule(
        rf"(?P<t>(?:(?i:{_any(_ABBREVIATIONS)})|[Pp](?:tes?|pte|p?ty|tys)|{_upper_too(_CAPITALISED)})"
        # Any two characters count as context, which beats a longer word: "Jan.x" is "jan. x".
        r"\.)(?:[\s\S]{2})?",
        None,
        ".",
    ),
    _rule(rf"(?P<t>(?:(?i:{_any(_TITLES)})|[Mm][ft]g)\.)", None, "."),
    _rule(rf"(?P<t>(?i:{_any(_BEFORE_NUMBER)})\.){_SPACE_OR_END}?{_D}", None, "."),
    _rule(rf"(?P<t>(?:{_WORD}|{_COMPOUND}|{_HYPHENATED}|{_FIRM})\.)[,;:\u3001]", None, "."),
    # Compounds: "black-and-white", "U.S.-born", "12th", "and/or", "AT&T", "C++".
    _rule(f"(?P<t>{_HYPHENATED})", None, "-"),
    _rule(f"(?P<t>{_COMPOUND})"),
    _rule("(?P<t>(?i:anti|pro)-)", None, "-"),  # "pro- and anti-…"; other prefixes lose it
    _rule(
        r"(?P<t>[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2})",
        None,
        "/",
    ),
    _rule(f"(?P<t>{_FIRM})", _plain_ampersand, "+&"),
    _rule(r"(?P<t>[cC]\+\+|[cCfF]#)", None, "+#"),
    # File names.
    _rule(
        rf"(?P<t>{_X}+(?:\.{_X}+)*\.(?i:{_any(_FILE_TYPES)}))(?:{_SPACE_OR_END}|[.?!,])", None, "."
    ),
    # Symbols. Only round brackets are rewritten in a smiley.
    _rule(r"(?P<t>[A-Z]*\$|#+|@+|>>|<<)", None, "$#@<>"),
    _rule(r"(?P<t>[\u0080\u00a4\u20a0\u20ac])", lambda _: "$"),
    _rule("(?P<t>\u00a2)", lambda _: "cents"),
    _rule("(?P<t>\u00a3)", lambda _: "#"),
    _rule(rf"(?P<t>[<>]?[:;=][-o*']?{_MOUTH})(?:[^A-Za-z0-9]|\Z)", _round_brackets, ":;="),
    _rule(
        r"(?P<t>[-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\))",
        _round_brackets,
        "_(",
    ),
    _rule(r"(?P<t>[?!]+)", None, "?!"),
    _rule(r"(?P<t>\\\*|\*+|_+)", None, "*_"),
    _rule(
        rf"(?P<t>''|[`\u0091-\u0094\u2018-\u201e\u2039\u203a\u00ab\u00bb]{{1,2}}|\"|{_APOS})",
        _quotes,
    ),
    _rule(
        r"(?P<t>[\u207a\u207b\u208a\u208b]?(?:[\u00b9\u00b2\u00b3\u2070\u2074-\u2079]+|[\u2080-\u2089]+))"
    ),
    _rule(rf"(?P<t>[{_ranges(_SYMBOL_RANGES)}+/%&@=<>$\\^|~])"),
    _rule("(?P<t>-{5,})", None, "-"),
    _rule(r"(?P<t>\.\.\.+|-{2,4}|\u0085|\u2026|[.,:;-])", lambda _: "."),
    _rule(r"(?P<t>[()\[\]{}])", lambda t: _BRACKETS[t]),
    _rule(f"(?P<t>[{''.join(_FRACTIONS)}])", lambda t: _FRACTIONS[t]),
)

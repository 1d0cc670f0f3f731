r"""Units: which words after a number are only its unit, taken off an answer's end: 5\text{ cm}^2, 12 apples, 18元."""

from __future__ import annotations

import re

SPACE = r"(?:\s|\\[,;:! ]|\\q?quad(?![a-z]))*"
FACE = r"\\(?:text|textrm|textnormal|textit|textsf|mathrm|mathsf|mathit|mathnormal|mbox|operatorname|rm|textbf)"
POWER = r"(?:\s*\^\s*(?:-?\d|\{\s*-?\d\s*\}))?"
BOXED_WORDS = re.compile(
    rf"^(.*?){SPACE}(/|\\cdot(?![a-z])|\\times(?![a-z]))?{SPACE}({FACE})\s*\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}{POWER}$",
    re.DOTALL,
)
ORDINAL = re.compile(r"^(\d+)\s*\^?\s*\{?\s*(?:\\(?:text|mathrm)\s*\{)?\s*(?:st|nd|rd|th)\s*\}*$")
# a word of two or three letters may be a product of variables, unless it is one of these
SHORT_UNITS = frozenset(
    re.findall(
        r"\w+",
        """
        cm mm km nm dm kg mg ml dl ft in yd lb lbs oz hr hrs min mins sec secs day men mph kph usd eur gbp gal ton sq
        deg rad mol hz khz mhz ghz kw kj mw kwh pa kpa atm ev kev mev gev rpm st nd rd th cc mi yr yrs pts gm bit
        """,
    )
)
PRODUCTS = {"mg", "ml", "pa", "ev", "mi", "gm", "mw", "kw", "in", "st"}  # units, or letters side by side
BARE_LETTERS = "mgshLl"
LETTERS = "mgshLlNJWVAKCFT"  # of one letter
LETTER_UNIT = rf"(?:{'|'.join(sorted(PRODUCTS))}|[{BARE_LETTERS}](?:\^?\{{?[23]\}}?)?|[ap]\.?m\.?)"
BEHIND_NUMBER = re.compile(rf"([-+]?\\?[$€£¥₹]?\d[\d,]*(?:\.\d+)?)\s*(?:\\[,; ])?\s*{LETTER_UNIT}")
# words that make another number of the one they stand at, or say that it is none; names of functions and letters
NOT_UNITS = frozenset(
    re.findall(
        r"\w+",
        """
        and or mod pi sqrt times over percent percentage pct to hundred half halves third thirds quarters fourths fifths
        sixths sevenths eighths ninths tenths hundredths thousandths millionths factorial doubled tripled halved squared
        cubed thousand million billion trillion dozen dozens plus minus infinity if not otherwise else when where for
        unless except neither nor more less least most fewer approximately about cannot impossible false true any other
        such choose sin cos tan cot csc ln log exp arcsin arccos arctan sinh cosh tanh inf infty frac max gcd
        lcm cdot ldots alpha beta gamma delta epsilon zeta theta kappa lambda sigma omega phi rho tau mu nu xi
        chi eta millones millon millionen milhoes milioni mille mil tausend hundert cien cientos miliardi milliarden
        prozent procent
        """,
    )
)
# in other scripts: tens, hundreds, thousands, halves, "or more", "or less", or, and, not
NOT_UNITS_OF = re.compile(
    "[十百千万萬亿億兆半倍或和与及不無无]|以上|以下|未満|未满|超过|분의|만|억|천|백|이상|이하"
    "|또는|тыс|млн|млрд|милли|процент|половин|или|не "
)
BARE_WORDS = re.compile(
    r"^(.*?[\d})!%])(\s*)(?<!\\)((?:[A-Za-z]{2,}\.?(?:\^?\{?[23]\}?)?)(?:(?:\s+|\s*/\s*|\s+an?\s+|\s*\.\s*)"
    r"(?:[A-Za-z]{2,}|(?<=/)\s*[A-Za-z])(?:\^?\{?[23]\}?)?)*)\.?$",
    re.DOTALL,
)
SYMBOL = re.compile(
    r"^(.*\d)(?:\s|\\[,; ])*(?:(?<=[ ,;])[kM]?\\Omega|(?:\\(?:text|mathrm)\s*\{\s*\}\s*)?\\mu)$", re.DOTALL
)
AFTER_PI = re.compile(r"^(.*?\\pi)(\s+)((?:[A-Za-z]{2,})(?:\^?\{?[23]\}?)?)$", re.DOTALL)
OTHER_SCRIPT = re.compile(r"^(.*?[\d})%])\s*([^\W\d_A-Za-z]+(?:\s*/?\s*[^\W\d_A-Za-z]+)*)$", re.DOTALL)
OPERATOR_END = re.compile(r"(?:[-+=<>,;:(\[|*^_]|\\(?:times|cdot|pm|mp|in|[lg]eq?|ne|approx|cup|cap|land|lor))\s*$")
PERCENT = re.compile(
    rf"{SPACE}(?:{FACE}\s*\{{\s*(?:per\s?cent|percentage|pct)\s*\}}|\b(?:per\s?cent|percentage|pct)\b)\.?$"
)
COMMAND = re.compile(r"\\[A-Za-z]+")
UNIT_SIGNS = re.compile(
    r"\\(?:cdot|times|mu|circ|Omega)(?![a-z])|\\[,;:! ]"
    r"|(?<=[A-Za-z])\s*\^?\s*(?:\{\s*-?[1-4]\s*\}|-?[1-4](?![\d.]))"
)
NAMED = re.compile(r"^\s*[A-Za-z](?:_\{?\w+\}?)?\s*=")


def without_units(text: str) -> str:
    """The text without the units at its end; all of it where nothing or no value would be left."""
    text = PERCENT.sub(r"\\%", text)
    if match := ORDINAL.match(text):
        return match[1]
    while True:
        shorter = without_last(text)
        if shorter == text:
            return text
        text = shorter


def without_last(text: str) -> str:
    """Without one unit."""
    if text.endswith(("}", "2", "3")) and (match := BOXED_WORDS.match(text)):
        before, joined, face, words = match.groups()
        if valued(before) and is_unit(words, before, face, bool(joined)):
            return before.strip()
    if (match := SYMBOL.match(text)) and numeric(match[1]):
        return match[1].strip()
    for pattern in (BARE_WORDS, AFTER_PI):
        if (match := pattern.match(text)) and numeric(match[1]) and bare_unit(match[3], spaced=bool(match[2])):
            return match[1].strip()
    if (
        not text.isascii()
        and (match := OTHER_SCRIPT.match(text))
        and numeric(match[1])
        and not NOT_UNITS_OF.search(match[2])
    ):
        return match[1].strip()
    return text


def valued(before: str) -> bool:
    """Whether what stands before a unit may be a value."""
    return bool(before.strip()) and OPERATOR_END.search(before) is None


def is_unit(words: str, before: str, face: str, joined: bool) -> bool:
    """Whether the words of a command are a unit, or nothing."""
    words = UNIT_SIGNS.sub(" ", words)
    found = re.findall(r"[^\W\d_]+", words)
    if not found:
        return not words.strip() or bool(re.fullmatch(r"[\s.,;:$\\]*", words))
    if re.search(r"[\d=<>\\]", words):
        return False
    if NOT_UNITS & {word.lower() for word in found} or NOT_UNITS_OF.search(words):
        return False
    if len(found) == 1 and len(found[0]) == 1 and found[0].isascii():
        if joined:  # m/s
            return bool(re.search(r"\}" + POWER + r"$", before)) and "bf" not in face
        return "bf" not in face and found[0] in LETTERS and numeric(before)
    return True


def bare_unit(words: str, spaced: bool) -> bool:
    """Whether words without a command are a unit."""
    found = re.findall(r"[a-z]+", words.lower())
    if NOT_UNITS & set(found):
        return False
    if not spaced and len(found) == 1 and found[0] in PRODUCTS:
        return False
    return any(word in SHORT_UNITS or len(word) > (3 if spaced else 4) for word in found)


def numeric(text: str) -> bool:
    """Whether a text is made of numbers alone, but for a name that they are given."""
    return re.search(r"[A-Za-z]", COMMAND.sub("", NAMED.sub("", text))) is None


def one_letter_unit(text: str) -> str | None:
    """The number of "5 m", which may be five times m too: None where it is something else."""
    match = BEHIND_NUMBER.fullmatch(text)
    return match[1] if match else None

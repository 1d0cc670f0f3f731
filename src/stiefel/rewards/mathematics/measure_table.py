"""The units that are converted, in metres, grams, seconds, amperes and dollars, by their exact definitions."""

from __future__ import annotations

from fractions import Fraction

Unit = tuple[Fraction, dict[str, int]]

LENGTH, MASS, TIME = {"length": 1}, {"mass": 1}, {"time": 1}
VOLUME, FORCE = {"length": 3}, {"mass": 1, "length": 1, "time": -2}
ENERGY, POWER = {"mass": 1, "length": 2, "time": -2}, {"mass": 1, "length": 2, "time": -3}
TESLA = {"mass": 1, "time": -2, "current": -1}
VOLT, OHM = {**POWER, "current": -1}, {**POWER, "current": -2}
KILO = Fraction(1000)
PREFIXES = {
    "n": Fraction(1, 10**9),
    "μ": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "c": Fraction(1, 100),
    "d": Fraction(1, 10),
    "k": KILO,
    "M": Fraction(10**6),
    "G": Fraction(10**9),
}
SYMBOLS: dict[str, Unit] = {
    "m": (Fraction(1), LENGTH),
    "g": (Fraction(1), MASS),
    "s": (Fraction(1), TIME),
    "A": (Fraction(1), {"current": 1}),
    "N": (KILO, FORCE),
    "J": (KILO, ENERGY),
    "W": (KILO, POWER),
    "V": (KILO, VOLT),
    "Ω": (KILO, OHM),
    "T": (KILO, TESLA),
    "Pa": (KILO, {"mass": 1, "length": -1, "time": -2}),
    "Hz": (Fraction(1), {"time": -1}),
    "eV": (KILO * Fraction("1.602176634e-19"), ENERGY),
    "L": (Fraction(1, 1000), VOLUME),
    "l": (Fraction(1, 1000), VOLUME),
    "mol": (Fraction(1), {"amount": 1}),
    "h": (Fraction(3600), TIME),
    "d": (Fraction(86_400), TIME),
}
PREFIXED = frozenset(SYMBOLS) - {"h", "d"}
NAMED: dict[str, tuple[dict[str, int], dict[str, int | str]]] = {
    "time": (TIME, {"second sec": 1, "minute min": 60, "hour hr": 3600, "day": 86_400, "week": 604_800}),
    "years": ({"months": 1}, {"month": 1, "year yr": 12}),
    "metres": (LENGTH, {"millimeter millimetre": "0.001", "centimeter centimetre": "0.01", "meter metre": 1}),
    "kilometres": (LENGTH, {"kilometer kilometre": 1000}),
    "feet": (LENGTH, {"inch": "0.0254", "foot": "0.3048", "yard yd": "0.9144", "mile": "1609.344"}),
    "pounds": (MASS, {"ounce oz": "28.349523125", "pound lb": "453.59237"}),
    "grams": (MASS, {"milligram": "0.001", "gram": 1, "kilogram kilo": 1000}),
    "litres": (VOLUME, {"milliliter millilitre ml": "0.000001", "liter litre": "0.001"}),
    "gallons": (VOLUME, {"pint": "0.000473176473", "quart": "0.000946352946", "gallon gal": "0.003785411784"}),
    "money": ({"dollars": 1}, {"cent": "0.01", "dollar": 1}),
    "euros": ({"euros": 1}, {"euro": 1}),
    "physics": (FORCE, {"newton": 1000}),
    "energy": (ENERGY, {"joule": 1000}),
    "power": (POWER, {"watt": 1000}),
    "voltage": (VOLT, {"volt": 1000}),
}
WORDS: dict[str, Unit] = {
    form: (Fraction(size), of)
    for of, sizes in NAMED.values()
    for words, size in sizes.items()
    for word in words.split()
    for form in (word, f"{word}s", f"{word}es")
}
WORDS |= {"feet": WORDS["foot"], "ft": WORDS["foot"], "in": WORDS["inch"], "mi": WORDS["mile"]}
WORDS |= {
    "mph": (Fraction("1609.344") / 3600, {"length": 1, "time": -1}),
    "kph": (KILO / 3600, {"length": 1, "time": -1}),
    "kmh": (KILO / 3600, {"length": 1, "time": -1}),
}

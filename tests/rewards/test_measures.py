"""Units that both answers give are compared; one that either leaves out, or that is only a word, says nothing."""

from __future__ import annotations

from tests.rewards.tables import scores

SAME = [
    ("5 km", "5000 m"),
    ("5 km", r"5\text{ km}"),
    ("5 m", "500 cm"),
    ("1 hour", "60 minutes"),
    ("90 minutes", "1.5 hours"),
    ("5 m", "5 min"),
    ("5 mi", "5 miles"),
    ("60 inches", "5 feet"),
    ("36 km/h", "10 m/s"),
    ("5 N", r"5\ \mathrm{kg\cdot m/s^2}"),
    (r"9.8\text{ m/s}^2", r"9.8\ \mathrm{m\,s^{-2}}"),
    ("12 square feet", r"12\text{ ft}^2"),
    ("2 liters", r"2000\text{ cm}^3"),
    (r"\frac12\text{ km}", r"500\text{ m}"),
    ("x = 5 km", "5000 m"),
    ("5 mT", "0.005 T"),
    ("$5", "500 cents"),
    ("5 cents", r"\$0.05"),
    ("18 dollars", "$18"),
    ("1,000 m", "1 km"),
    (r"2\pi\text{ cm}", r"2\pi\text{ cm}"),
    ("2mg", "2 m g"),
    ("mgh", "m g h"),
    # given by one side only, or no known unit
    ("5 km", "5"),
    ("5", "5 km"),
    ("18 dollars per day", "18 dollars"),
    ("18 dollars", "18 dollars per day"),
    ("5 apples", "5 fruits"),
    ("5 units", "5 cm"),
    (r"2\pi\text{ cm}", r"2\pi"),
]
OTHER = [
    ("5 m", "5 km"),
    ("5 km", "5 m"),
    ("5 km", "5000 km"),
    ("5 hours", "5 minutes"),
    ("1 hour", "61 minutes"),
    ("5 hours", "5 days"),
    ("5 weeks", "5 months"),
    ("5 kg", "5 g"),
    ("5 kg", "5 km"),
    ("5 lb", "5 kg"),
    ("5 miles", "8 km"),
    ("5 feet", "5 inches"),
    (r"5\text{ cm}", r"5\text{ m}"),
    (r"5\text{ cm}^2", r"5\text{ cm}^3"),
    ("5 cm", r"5\text{ cm}^2"),
    ("60 km/h", "60 m/s"),
    ("60 mph", "60 km/h"),
    (r"\$5", "5 cents"),
    ("5 dollars", "5 euros"),
    ("5 N", "5 J"),
    ("5T", "5mT"),
    ("5mT", "5T"),
    ("5 kW", "5 W"),
    (r"2\pi\text{ cm}", r"2\pi\text{ m}"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_another = scores(0.0, OTHER)

"""Random and mutated mathematics, hostile to a parser."""

from __future__ import annotations

import random

from tests.rewards.test_mathematics import EQUAL, UNEQUAL

LATEX = r"""
\frac \sqrt \left( \right) \boxed{ \text{ \pm \infty \int_0^1 \sum_{n=1}^ \lim_{x\to0} \log_ \binom
\begin{pmatrix} \end{pmatrix} \\ & { } ( ) [ ] | ^ _ = < > \le , ; : ! % $ $$ # + - * / . ' ~ \ \% \$
0 1 7 9 10 99999999999 1e9 0.0 .5 x y n e i pi sin f( or and 2^ ** !! 9**9 ^{9^ ½ ∞ − 🙂 ﷽ ١٢
"""
PIECES = (*LATEX.split(), "\0", "\n", " ")


def random_string(rng: random.Random) -> str:
    """Pieces of LaTeX in any order."""
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 40)))


def mutated_string(rng: random.Random) -> str:
    """A sound expression with characters deleted, doubled, replaced or moved."""
    text = list(rng.choice(rng.choice(EQUAL + UNEQUAL)))
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(text))
        match rng.randint(0, 4):
            case 0:
                del text[at : at + 1]
            case 1:
                text[at:at] = text[at : at + 3]
            case 2:
                text[at:at] = rng.choice(PIECES)
            case 3:
                text[at:] = text[at:][::-1]
            case 4:
                text = text * 2 if len(text) < 60 else text
    return "".join(text)


def hostile_strings(count: int, seed: int) -> list[str]:
    """Half random, half mutated; each as a boxed answer, as an answer's line, or bare."""
    rng = random.Random(seed)
    forms = ("\\boxed{{{}}}", "Answer: {}", "So it is {}", "{}")
    return [rng.choice(forms).format(random_string(rng) if n % 2 else mutated_string(rng)) for n in range(count)]

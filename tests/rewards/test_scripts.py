"""Answers in other scripts and full-width characters."""

from __future__ import annotations

from stiefel.rewards.mathematics.math import grade_gsm8k
from tests.rewards.tables import AS_IT_IS, scores

# (gold, answer)
SAME = [
    ("-5", "－５"),
    (r"50\%", "50％"),
    ("1,234", "１，２３４"),
    ("(1,2)", "（１，２）"),
    ("x+1", "ｘ＋１"),
    ("18", "18個"),
    ("18", "18개"),
    ("18", "18円"),
    ("18", "18 рублей"),
    ("18", "١٨"),
    ("18", "१८"),
    ("x^2", "x²"),
    ("x_1", "x₁"),
    ("x^{10}", "x¹⁰"),
    ("x^{-1}", "x⁻¹"),
    (r"\frac{3}{8}", "⅜"),
    ("x=5", "ｘ＝５"),
    ("3/4", "３／４"),
    ("50", "50％"),
    ("0.5", "50％"),
    ("5", "5．"),
    (r"2\pi", "2π"),
    (r"\sqrt{2}", "√2"),
    (r"2\sqrt{3}", "2√3"),
    (r"\sqrt{x+1}", "√(x+1)"),
    (r"\sqrt[3]{2}", "∛2"),
    ("5 cm", "5厘米"),
    ("120", "１２０°"),
    (r"x\le 3", "x≤3"),
    (r"\{1,2\}", "｛1，2｝"),
]
# (gold, completion)
SAME_SAID = [
    ("18", "所以答案是18。"),
    ("18", "합계는18입니다."),
    ("18", "Answer：18。"),
    ("18", "答案：18"),
    ("18", r"答案：\boxed{18}"),
    ("18", "最终答案是：18"),
    ("18", "정답: 18"),
    ("18", "Ответ: 18"),
    ("18", "Respuesta: 18"),
    ("18", "Réponse : 18"),
    ("18", "Antwort: 18"),
    ("18", "结果：18"),
    ("18", "答案是 **18** 。"),
    ("7", "答案是:7"),
]
# (gold, completion)
SAME_LAST = [
    ("18", "所以答案是18。"),
    ("18", "합계는18입니다."),
    ("18", "总共１８元"),
    ("18", "合計は１８です。"),
    ("18", "Итого18рублей"),
    ("18", "共有１８个"),
    ("12", "一共12只。"),
    ("18", "答：小明有18个苹果。"),
    ("18", "The total is１８."),
    ("18", "Tổng cộng là18"),
]
# (gold, answer)
OTHER = [
    ("18", "18万"),
    ("18", "18億"),
    ("18", "3万"),
    ("18", "１９"),
    ("5", "－５"),
    ("18", "18以上"),
    ("18", "一百八十"),
    ("12", "１，２"),
    ("18", "18点5"),
    ("3/4", "４／３"),
    ("1", "18千"),
    ("18", "180％"),
    ("18", "18만"),
]
# (gold, completion)
OTHER_SAID = [
    ("18", "所以答案是19。"),
    ("18", "答案：19"),
    ("18", "Antwort: 19"),
]
# (gold, completion)
OTHER_LAST = [
    ("6", "x6"),
    ("6", "H6"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_the_same_in_a_completion = scores(1.0, SAME_SAID, AS_IT_IS)
test_what_is_the_same_as_the_last_number = scores(1.0, SAME_LAST, AS_IT_IS, grade_gsm8k)
test_what_is_another = scores(0.0, OTHER)
test_what_is_another_in_a_completion = scores(0.0, OTHER_SAID, AS_IT_IS)
test_what_is_another_as_the_last_number = scores(0.0, OTHER_LAST, AS_IT_IS, grade_gsm8k)

"""Several quantities in words are several, or one in several units."""

from __future__ import annotations

from stiefel.rewards.mathematics.math import grade_gsm8k
from tests.rewards.tables import AS_IT_IS, scores

# (gold, answer)
SAME = [
    ("2.5", "2 hours and 30 minutes"),
    ("150", r"2 \text{ hours and } 30 \text{ minutes}"),
    ("2 hours 30 minutes", "2 hours and 30 minutes"),
    (r"2\text{ hours }30\text{ minutes}", "150 minutes"),
    ("21, 14", "21 geese and 14 goats"),
    ("21, 14", r"14\text{ goats},\ 21\text{ geese}"),
    ("3, 4", "3 apples or 4 apples"),
    ("68", "5 feet 8 inches"),
    ("5.3", "5 dollars and 30 cents"),
    ("3", r"3\text{ days}"),
    ("3 to 7 days", "3 to 7 days"),
    (r"21\text{ geese and }14\text{ goats}", "21 geese, 14 goats"),
    ("5, 7", "5 cm, 7 cm"),
    (r"5\text{ cm}, 7\text{ cm}", "5, 7"),
    ("1, 2, 3", "1 apple, 2 pears and 3 plums"),
    ("21", "21 geese"),
    ("2.5 hours", "2 hours and 30 minutes"),
    ("2 hours 30 minutes", "2.5 hours"),
    ("2 hours 30 minutes", "9000 seconds"),
    ("2 h 30 min", "2.5 h"),
    ("14", "14 goats"),
    ("5", "5 min"),
    ("5", "5 sec"),
]
# (gold, completion)
SAME_SAID = [
    ("21, 14", "Answer: 21 geese and 14 goats"),
    ("21, 14", "Answer: There are 21 geese and 14 goats."),
    ("21, 14", "So we have 21 geese and 14 goats."),
    ("18", "She makes $18 per day"),
    ("15", "She sold 5 apples and earned 15 dollars."),
    ("50", "She bought 3 shirts and 2 pants for 50 dollars."),
]
# (gold, completion)
SAME_LAST = [
    ("50", "She bought 3 shirts and 2 pants for 50 dollars."),
]
# (gold, answer)
OTHER = [
    ("30", "2 hours and 30 minutes"),
    ("2", "2 hours and 30 minutes"),
    ("4", "3 apples or 4 apples"),
    ("3", "3 apples or 4 apples"),
    ("7", "from 3 to 7 days"),
    ("3", "3 to 7 days"),
    ("7", "between 3 and 7 days"),
    ("7", r"\text{from } 3 \text{ to } 7 \text{ days}"),
    ("7", "3-7 days"),
    ("14", "21 geese and 14 goats"),
    ("21", "21 geese and 14 goats"),
    ("21, 14", "21 geese and 15 goats"),
    ("8", "5 feet 8 inches"),
    ("5", "5 feet 8 inches"),
    ("6", "1 apple, 2 pears and 3 plums"),
    ("2, 30", "150 minutes"),
    ("2", "1 boy and 2 girls"),
    ("2", r"1\text{ boy}, 2\text{ girls}"),
    ("2.3", "2 hours and 30 minutes"),
    ("2 hours 30 minutes", "2.5 minutes"),
    ("2 hours 30 minutes", "150 hours"),
    ("2 hours 30 minutes", "150 cm"),
    ("14", "14 goats and 14 geese"),
    ("2 hours 30 minutes", "2.5 days"),
    ("1, 234", "1,234"),
    ("1,234", "1, 234"),
]
# (gold, completion)
OTHER_SAID = [
    ("7", "Answer: from 3 to 7 days"),
    ("14", "So we have 21 geese and 14 goats."),
    ("30", "It takes 2 hours and 30 minutes."),
    ("14", "**Answer:** 21 geese and 14 goats"),
    ("4", "Answer: 3 or 4 apples"),
    ("5", r"So it is $5 \text{ hours } 30 \text{ minutes}$."),
    ("30", "It takes 2 hours 30 minutes."),
]
# (gold, completion)
OTHER_LAST = [
    ("14", "Answer: 21 geese and 14 goats"),
    ("30", "It takes 2 hours and 30 minutes."),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_the_same_in_a_completion = scores(1.0, SAME_SAID, AS_IT_IS)
test_what_is_the_same_as_the_last_number = scores(1.0, SAME_LAST, AS_IT_IS, grade_gsm8k)
test_what_is_another = scores(0.0, OTHER)
test_what_is_another_in_a_completion = scores(0.0, OTHER_SAID, AS_IT_IS)
test_what_is_another_as_the_last_number = scores(0.0, OTHER_LAST, AS_IT_IS, grade_gsm8k)

"""How an answer is left open, in the languages of benchmarks: "or", "maybe", as alternatives of regular expressions."""

from __future__ import annotations

OR = r"or|and/or|oder|ou|o|u|oppure|или|або|veya|ya\s+da|atau|hoặc|albo|lub|nebo|vagy|sau|eller|tai|ή|au"
BUT = r"but|though|although|aber|mais|pero|mas|ma|maar|но"  # before a guess
OR_CJK = r"或者?|或是|还是|還是|หรือ|または|もしくは|それとも|か|또는|혹은|이나|아니면|أو|या|বা"
# what makes a guess of what follows it; "it" and a verb may go with it
MAYBE = (
    r"maybe|perhaps|possibly|potentially|probably|alternatively|conceivably|else|otherwise|if\s+not|"
    r"(?:it\s+|the\s+answer\s+|this\s+|that\s+)?(?:might|may|could|can)(?:\s+(?:also|well|even|possibly|perhaps|very))*"
    r"\s+(?:be|equal)|is\s+it|"
    r"vielleicht|möglicherweise|eventuell|womöglich|peut[- ]être|possiblement|éventuellement|quizás?|tal\s+vez|talvez|"
    r"posiblemente|possivelmente|puede\s+ser|pode\s+ser|forse|magari|possibilmente|può\s+essere|misschien|mogelijk|wellicht|"
    r"возможно|может\s+быть|можливо|belki|mungkin|barangkali|có\s+thể(?:\s+là)?|có\s+lẽ|może|možná|talán|poate|kanske|ehkä"
)
MAYBE_CJK = (
    r"也?(?:有)?可能(?:也)?(?:是|为)?|也许(?:是)?|或许(?:是)?|大概(?:是)?|也是|たぶん|おそらく|もしかすると|かもしれない|"
    r"아마도?|어쩌면|ربما|शायद|হয়তো"
)

"""What answers are announced with, in the languages of benchmarks: alternatives of regular expressions."""

from __future__ import annotations

# "answer" itself; a letter after it and a sign or verb is the answer
ANSWER = (
    r"answer|ans|antwort|lösung|respuesta|réponse|reponse|risposta|resposta|antwoord|svar(?:et)?|vastaus|"
    r"odpowiedź|odpověď|"
    r"odpoveď|válasz|răspuns(?:ul)?|raspuns|απάντηση|ответ(?:ом)?|відповідь|отговор|yanıt|cevap|cevabı|"
    r"jawaban(?:nya)?|jibu|"
    r"[iì]d[aá]h[uù]n|đáp\s+án|câu\s+trả\s+lời|sagot|solución|solution|gabarito|solução|soluzione|"
    r"תשובה|(?:ال)?[إا]جابة|(?:ال)?جواب|پاسخ|उत्तर|उत्तरः|উত্তরঃ?|جواب"
)
ANSWER_CJK = r"คำตอบ|答案|答复|答え|答|回答|解答|正解|正答|정답|답변|답"
# what a letter names; alone it is only a mention
OPTION = (
    r"option|choice|opción|opcion|opção|opcao|opzione|optie|auswahl|alternativ[ae]|letter|letra|lettre|lettera|"
    r"buchstabe|"
    r"вариант|буква|seçenek|pilihan|opsi|phương\s+án|lựa\s+chọn|(?:ال)?خيار|विकल्प|বিকল্প|selection|pick"
)
OPTION_CJK = r"ตัวเลือก|选项|選項|選択肢|선택지|보기"
CHOOSING = (
    r"choos(?:e|ing)|chose|pick(?:ing)?|select(?:ing)?|(?:go|going|went)\s+with|opt(?:ing)?\s+for|settl(?:e|"
    r"ing)\s+(?:on|for)|"
    r"vote\s+for|wähle|nehme|choisis|elijo|escojo|escolho|scelgo|kies|выбираю|выберу|seçiyorum|memilih|chọn|أختار"
)
CHOOSING_CJK = r"故选择?|应选择?|选择|選擇|选|選|고르면"
# between the announcement and the letter
BETWEEN = (
    r"is|was|are|be|being|seems|appears|looks|to|must|should|would|will|has|have|remains|therefore|thus|hence|clearly|"
    r"obviously|definitely|certainly|surely|undoubtedly|evidently|probably|likely|most|very|indeed|then|simply|"
    r"just|still|now|"
    r"actually|really|in\s+fact|of\s+course|in\s+my\s+opinion|"
    r"(?:in|i|we)(?:\s+(?:would|firmly|strongly|now|also|do|will|can)|['’](?:d|m|ll))?\s+"
    r"(?:think|believe|guess|say|feel|conclude|sure|confident|choose|pick|go\s+with|going\s+with|select)"
    r"(?:\s+that)?(?:\s+it(?:\s+is|['’]s|\s+must\s+be|\s+should\s+be))?|it\s+is|it['’]s|"
    r"the|my|our|one|single|correct|right|best|final|chosen|selected|true|proper|as\s+follows|given\s+by|"
    r"lab?ell?ed|marked|statement|answer|number|"
    r"ist|lautet|wäre|also|somit|daher|wohl|vermutlich|wahrscheinlich|sicher|die|der|das|richtige|korrekte|endgültige|"
    r"es|sería|debe\s+ser|por\s+(?:lo\s+)?tanto|la|el|correcta|correcto|final|est|serait|doit\s+être|donc|le|"
    r"l['’]|c['’]est|"
    r"correcte?|bonne|finale|è|sarebbe|deve\s+essere|quindi|dunque|il|corretta|corretto|giusta|esatta|"
    r"é|seria|deve\s+ser|portanto|logo|(?-i:o|a)|correta|correto|certa|"
    r"dus|juiste|goede|moet\s+zijn|zou\s+zijn|het|de|"
    r"ответа?|это|является|правильный|верный|под|будет|значит|är|er|on|jest|to|je|doğru|adalah|yang|benar|"
    r"tepat|ni|là|đúng|"
    r"είναι|है|सही|হল|হলো|হচ্ছে|সঠিক|هي|هو|الصحيحة?|النهائية?|הנכונה|היא|הוא|est[áa]|este|corect"
)
BETWEEN_CJK = (
    r"คือ|应该?是|应当是|应该?为|应该?选|就是|便是|选择|"
    r"正确|是|为|為|即|选|選|擇|因此|所以|は|が|も|은|는|이|가|의|바로|번|문|正確|正しい"
)
# what follows a letter that is no article and no pronoun: "A because", not "A careful"
FOLLOWING = (
    r"because|since|as|for(?!\s+(?:loop|each))|by|due\s+to|owing\s+to|given\s+(?:that|the|its|how|this)|in|"
    r"with|on|from|and|"
    r"or|but|is|was|not|rather|which|although|though|while(?!\s+loop)|whereas|when|if|so|then|thus|hence|therefore|"
    r"according|based\s+on|here|again|indeed|after|considering|where|over|instead|at|via|using|under|the|they|"
    r"it|this|that|"
    r"there|these|i\s+(?:think|believe|guess)|we|you|all|my|weil|da|denn|aufgrund|wegen|ist|porque|pues|"
    r"ya\s+que|debido|es|"
    r"parce|car|puisque|est|perché|poiché|in\s+quanto|è|pois|já\s+que|é|omdat|want|потому|так\s+как|çünkü|karena|vì"
)
ARTICLES = "AI"  # what an English sentence may begin with
SAYS = (
    r"shows?|suggests?|gives?|indicates?|points?\s+(?:clearly\s+)?to(?:wards?)?|leads?\s+(?:us\s+|me\s+)?to|"
    r"yields?|reveals?|"
    r"implies|confirms?|supports?|favou?rs?|leaves?(?:\s+(?:us|me|only|us\s+with|me\s+with))?|left\s+with|"
    r"brings?\s+(?:us|me)\s+to|"
    r"is|it['’]s|be|think|believe|guess|say|choose|pick|select|go(?:ing)?\s+with|opt\s+for|settle\s+on"
)
NEGATED = (  # anywhere before a letter
    r"not|never|neither|nor|cannot|except|other\s+than|anything\s+but|rather\s+than|instead\s+of|unlike|nicht|"
    r"kein\w*|pas|jamais|"
    r"non|não|no\s+(?:es|está)|niet|geen|не|bukan|không|değil|ليست?"
)
REJECTED = (  # just before it
    r"without|exclud\w+|eliminat\w+|reject\w*|dismiss\w*|discard\w*|rul(?:e|es|ed|ing)\s+out|than|against|ne"
)
NEGATED_CJK = r"不|别|勿|未|没有?|非|排除|除了"
WRONG = (
    r"wrong|incorrect|false|not|out|eliminated|excluded|invalid|impossible|ruled\s+out|unlikely|falsch|nicht|inkorrekt|"
    r"faux|fausse|incorrecte?|incorrect[ao]s?|fals[ao]|errónea|sbagliat[ao]|errat[ao]|errad[ao]|fout|onjuist|incorreta"
)
WRONG_CJK = (
    r"(?:选项)?(?:是)?(?:错|不对|不正确|不是|不符|不成立|並非|并非)|(?:は|が)?(?:間違|誤り|不正解|違い)|(?:では|じゃ)(?:ない|ありません)|"
    r"(?:는|은|가|이)?\s*(?:아니|아닙|틀|오답)"
)
FITS = r"works|fits|remains|is\s+left|holds|satisf\w+|matches|makes\s+sense|is\s+(?:possible|consistent|valid|true)"
MISTAKEN = (  # before "answer"
    r"wrong|incorrect|false|worst|bad|tempting|distract\w+|unlikely|least\s+\w+|second[- ]best|opposite|"
    r"falsche|mauvaise|fausse|"
    r"foute|onjuiste|неправильн\w+|неверн\w+"
)
MISTAKEN_CJK = r"错误的?|不正确的?|誤った|間違った|틀린|오답"
RIGHT = (
    r"(?:is|['’]s|must\s+be|has\s+to\s+be|should\s+be)\s+(?:(?:indeed|clearly|therefore|thus|also|actually|"
    r"definitely|probably|most\s+likely|likely)\s+)?"
    r"(?:(?:the|my|our)\s+)?(?:final\s+)?(?:(?:most|only|single|one)\s+)?"
    r"(?:correct|right|best|answer|(?:likely|appropriate|accurate|suitable|plausible|possible|valid|remaining|"
    r"viable)\s+(?:answer|choice|option))"
    r"(?!\s+(?:distractor|guess|if|unless|only\s+(?:if|when))\b)|"
    r"ist\s+(?:die\s+)?(?:richtig|korrekt|beste)e?|est\s+(?:la\s+)?(?:correcte?|bonne|vraie?|juste)|"
    r"es\s+(?:la\s+)?(?:correct[ao]|respuesta|verdader[ao])|è\s+(?:la\s+)?(?:corrett[ao]|giust[ao]|risposta|esatt[ao])|"
    r"(?:é|está)\s+(?:a\s+)?(?:corret[ao]|cert[ao]|resposta)|is\s+(?:het\s+)?(?:juist|correct|goed)e?"
)
RIGHT_CJK = (
    r"(?:选项|項|项)?(?:是)?(?:正确|對|对|正確)|(?:が|は)(?:正解|正しい|答え)|を選(?:び|ぶ|択し)|"
    r"[를을]\s*선택(?!하지)|(?:가|이|는|은)?\s*(?:정답|맞|옳)"
)
# letters of other scripts by their place, where an answer is announced in that language
LOCAL = {
    **dict(zip("أبجد", "ABCD", strict=True)),
    "ا": "A",
    **dict(zip("কখগঘ", "ABCD", strict=True)),
    **dict(zip("АБГС", "ABDC", strict=True)),  # В is Russian's third letter and looks like B: it says nothing
    **dict(zip("ΑΒΓΔΕ", "ABCDE", strict=True)),
}

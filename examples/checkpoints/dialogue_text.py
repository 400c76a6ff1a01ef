"""Cleaning that prepare_dialogue.py applies to messages: characters, repetition, coarse language, private details."""

from __future__ import annotations

import re

from story_text import plain

__all__ = ["chinese_message", "english_message", "is_coarse_chinese", "is_coarse_english", "is_private", "key"]

# Characters

_TAG = re.compile(r"<[^<>]*>")
_MARKS = re.compile(r"[<>]")  # the template's own
_REPEATED = re.compile(r"(.{1,3}?)\1{3,}")


def _calm(text: str) -> str:
    """No more than three of the same letters, marks or short words in a row."""
    return _REPEATED.sub(r"\1\1\1", text)


def english_message(text: str) -> str:
    """One line in plain characters, without stage directions in angle brackets; empty where nothing is left."""
    text = plain(_TAG.sub(" ", text)).replace('""', '"')
    text = re.sub(r">$", "?", re.sub(r"\s+", " ", text).strip())  # beside the question mark on a keyboard
    return _calm(_MARKS.sub(" ", text)).strip()


_WIDE = str.maketrans(
    {",": "，", "!": "！", "?": "？", ";": "；", ":": "：", "(": "（", ")": "）", "~": "～", "〜": "～", "∼": "～",
     "⋯": "…", "＂": '"', "＇": "'", "•": "·", "`": "'"}
)  # fmt: skip
_ACCEPTED = re.compile(r"[\u4e00-\u9fff\x20-\x7e，。！？；：（）～…、·“”‘’《》—￥]*")


def chinese_message(text: str) -> str:
    """One line with full-width marks and no spaces between characters; empty where a character is not of the kind
    that Chinese is written in today."""
    text = re.sub(r"[【】「」\[\]]", "", _MARKS.sub("", text)).translate(_WIDE)
    text = re.sub(r"(?<![A-Za-z]{2})\s+|\s+(?![A-Za-z]{2})", "", text.strip())
    text = re.sub(r"\.{2,}|。{2,}|…+", "……", re.sub(r"(?<=\d)[，：](?=\d)", lambda mark: ",:"[mark[0] == "："], text))
    return _calm(text) if _ACCEPTED.fullmatch(text) else ""


def key(text: str) -> str:
    """Letters and digits of a text in lower case: what it is compared by."""
    return re.sub(r"[\W_]+", "", text.lower())


# Words

# Swearing, sexual words, words of contempt for people, and threats. Words that are mostly names of films or persons
# stay.
_COARSE_ENGLISH = re.compile(
    r"(?i)\b(?:(?:mother|mutha)?f+u+c*k+\w*|f[*@#]+c?k?\w*|bull-?shit\w*|horse-?shit|sh[i*]+t+(?:ty|s|head|ting|show)?"
    r"|bitch\w*|cunts?|dickheads?|dicks|ass-?holes?|arse(?:s|holes?)?|(?:dumb|jack|smart)-?ass(?:es|ed)?|bastards?"
    r"|whor\w+|sluts?|slutty|nigg\w*|fag+(?:ot)?s?|retard\w*|pussy|pussies|porn\w*|cock-?suck\w*|blow-?jobs?|tit(?:s|ties)"
    r"|boobs?|jizz|dildos?|orgasm\w*|masturbat\w*|penis\w*|vagina\w*|horny|boner|(?:god-?)?damn\w*|wtf|stfu|gtfo|lmfao"
    r"|rap(?:e[ds]?|ing|ists?)|molest\w*|p(?:a)?edophil\w*|incest\w*|tranny|chinks?|kikes?|wetbacks?|spics?|homos?"
    r"|kys|(?:kill|hang|shoot|hurt|cut)(?:ing)? (?:yo)?u?r?(?:my)?self|commit suicide|suicidal|hookers?|prostitut\w*"
    r"|piss(?:ed)?(?: off)?|crap(?:py)?|scumbags?|douche\w*|sex|sexual\w*|nudes?|strippers?|orgy|orgies)\b"
    r"|(?:so|(?:you|that|he|it)(?:'?s|'?re| is| are| sounds?)|bruh you) gay\b"
)
_COARSE_CHINESE = re.compile(
    r"(?i)[艹肏屌婊妓嫖奸尻屄屎]|[我卧沃握][操草艹擦槽靠]|操[你他她它蛋]|草泥|(?<![生今明昨每往平近])日你|[草干]你|[他你尼泥它]妈(?:的|逼|b|蛋|了个)|他妈|妈[的蛋逼]"
    r"|特么|尼[玛妹]|泥[马煤]|你[妹大]爷|[你他]妹的?[！。啊]|去你[妈大的吗]|[傻装牛苦逗撕懵二蒙妈沙煞沙蠢][逼比Bb笔]|逼[格样装]|傻[叉缺X帽子]|滚[蛋粗开犊你]|给我滚"
    r"|贱[人货逼]?|犯贱|骚[货气扰包]|风骚|鸡[巴吧]|[几叽]把|阴[茎道毛]|生殖|奶子|咪咪|巨乳|乳[头房沟]|胸(?![怀口襟]|有成)|内内|勾引|撩|做爱|啪啪|[约打]炮|炮友"
    r"|[色情]{2}|色狼|好色|黄[片色网]|[毛裸A]片|裸[照聊体奔]|口交|肛|射[精了]|精[液子虫]|性[交爱欲奴虐侵生骚]|撸[管一]|自慰|手淫|阳痿|早泄|勃起"
    r"|处[女男](?![座作])|小三|王八|混[蛋账]|[禽畜][兽生]|杂种|狗[日娘东屁]|脑[残瘫]|智障|白痴|弱智|[蠢笨]货|[蠢笨死]猪|废物|人渣|败类|变态"
    r"|[去找该]死|死全家|自[杀残]|轻生|跳楼|上吊|割腕|[弄打砍掐踢捅][死你]|杀[了死][你他她]|娘炮|基佬|搞基|基友|断背|人妖|黑鬼|鬼子|小日本|棒子|支那|阿三"
    r"|[拉吃狗]屎|屁|[吸贩]毒|毒品|大麻|赌[博钱]|枪毙|强暴|强[奸上]|内裤|脱[光衣裤]|一夜情|蛋疼|丑八|矮[矬穷]|装[bB]|[牛苦]叉"
    r"|(?<![a-z])(?:sb|tmd|nmb|nnd|cnm|mlgb|jb|tm|wc|ml|av|gay|fuck|shit|bitch|sex\w*|2b|rnm|md)(?![a-z])"
)

# Addresses, handles, numbers long enough to be an account or a telephone.
_PRIVATE = re.compile(
    r"https?:|www\.|\.com\b|@\w|\w@|\d{7,}|\d{3}-\d{3,4}-\d{4}|加我?[qQ微]|微信号|(?<![a-zA-Z])[qQ]{1,2}[号：:]"
)


def is_coarse_english(message: str) -> bool:
    """Whether a message has a word that a model should not be taught to say."""
    return _COARSE_ENGLISH.search(message) is not None


def is_coarse_chinese(message: str) -> bool:
    """Whether a message has a word that a model should not be taught to say."""
    return _COARSE_CHINESE.search(message) is not None


def is_private(message: str) -> bool:
    """Whether a message holds an address or a number by which somebody could be reached."""
    return _PRIVATE.search(message) is not None

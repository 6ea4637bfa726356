"""English abbreviations: how each is read, and whether its full stop may also end a sentence."""

from __future__ import annotations

from typing import Final

from voiceclone.text.wordlists import word_set

#: Read as written here when a full stop follows. Keys are lower case without the stop.
READINGS: Final[dict[str, str]] = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "messrs": "messieurs", "prof": "professor", "gen": "general",
    "col": "colonel", "capt": "captain", "cpt": "captain", "cmdr": "commander", "lt": "lieutenant", "sgt": "sergeant",
    "maj": "major", "adm": "admiral", "rev": "reverend", "hon": "honorable", "gov": "governor", "sen": "senator",
    "rep": "representative", "pres": "president", "jr": "junior", "sr": "senior", "esq": "esquire",
    "ave": "avenue", "blvd": "boulevard", "rd": "road", "hwy": "highway", "mt": "mount", "ft": "fort",
    "apt": "apartment",
    "inc": "incorporated", "ltd": "limited", "co": "company", "corp": "corporation", "bros": "brothers",
    "dept": "department", "univ": "university", "assn": "association", "govt": "government",
    "etc": "et cetera", "vs": "versus", "approx": "approximately", "est": "established", "misc": "miscellaneous",
    "fig": "figure", "figs": "figures", "vol": "volume", "vols": "volumes", "ch": "chapter", "pp": "pages",
    "eq": "equation",
    "ed": "edition", "eds": "editors", "al": "al", "ca": "circa", "cf": "compare", "viz": "namely", "max": "maximum",
    "min": "minimum", "avg": "average", "tel": "telephone", "ext": "extension", "temp": "temperature",
    "jan": "january", "feb": "february", "mar": "march", "apr": "april", "jun": "june", "jul": "july", "aug": "august",
    "sep": "september", "sept": "september", "oct": "october", "nov": "november", "dec": "december",
    "mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "thu": "thursday", "thur": "thursday",
    "thurs": "thursday", "fri": "friday", "sat": "saturday", "sun": "sunday",
}  # fmt: skip

#: Read only with a capital: titles and parts of names.
TITLES: Final = word_set(
    "adm capt cmdr col cpt ft gen gov hon jr lt maj messrs mr mrs ms mt pres prof rep rev sen sgt sr"
)

#: Also words (or names) of their own: the reading above holds only before a number.
BEFORE_NUMBER: Final = word_set("ch dec eq ext fig figs jan mar max min mon no nos p pp sat sun wed")

#: Of these, the ones that with a capital and a stop are dates wherever they stand.
DATE_LIKE: Final = word_set("dec jan mar mon wed")

#: Read the same with or without a full stop.
STOPLESS: Final[dict[str, str]] = {
    "mr": "mister", "mrs": "missus", "vs": "versus", "etc": "et cetera", "prof": "professor", "capt": "captain",
    "sgt": "sergeant", "blvd": "boulevard", "approx": "approximately", "dept": "department", "lvl": "level",
}  # fmt: skip

#: Abbreviations with inner stops, lower case, all stops removed.
DOTTED: Final[dict[str, str]] = {"eg": "for example", "ie": "that is", "etal": "et al", "ps": "p s", "nb": "n b"}

#: No sentence ends at the stop of one of these: something always follows.
NEVER_FINAL: Final = word_set(
    """
    adm al approx ca capt cf ch cmdr col cpt dr e.g eg eq est ext fig figs gen gov hon i.e ie lt maj messrs mr mrs ms mt
    pp pres prof rep rev sen sgt tel viz vol vols vs
    """
)

#: A sentence ends at the stop of one of these only when a usual sentence opener follows.
SELDOM_FINAL: Final = word_set(
    """
    a.m apr apt aug ave avg b.a blvd bros co corp d.c dec dept e.u esq etc feb ft hwy inc jan jr jul jun ltd m.a mar max
    min no nos nov oct p p.m ph.d rd sep sept sr st u.k u.n u.s u.s.a univ
    """
)

#: Words that open sentences often and follow a name seldom.
OPENERS: Final = word_set(
    """
    a after an and are as at before but can could did do does finally for from he her here his how however i if in is
    it its let meanwhile my no not now on or our please she should so that the their then there these they this those
    to was we were what when where while who why will with would yes you your
    """
)

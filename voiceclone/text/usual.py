"""Words said otherwise than the dictionary says them first, words it lacks, and the names of the letters."""

from __future__ import annotations

from typing import Final

from voiceclone.text.types import Phone


def phones(written: str) -> tuple[Phone, ...]:
    """Phones from a line such as "hh ax l ow1": a digit after a vowel is its stress."""
    return tuple(
        Phone(symbol.rstrip("012"), int(symbol[-1]) if symbol[-1].isdigit() else 0) for symbol in written.split()
    )


def _table(lines: str) -> dict[str, tuple[Phone, ...]]:
    pairs = (line.split(maxsplit=1) for line in lines.strip().splitlines())
    return {word: phones(written) for word, written in pairs}


#: Function words as the training voices say them in running speech; then newer words.
USUAL: Final = _table(
    """
    a         ax
    an        ae1 n
    and       ae1 n d
    because   b ih k ao1 z
    can       k ae1 n
    data      d ey1 t ax
    different d ih1 f er ax n t
    every     eh1 v er iy
    for       f ao1 r
    from      f r ah1 m
    hello     hh ax l ow1
    her       hh er
    information ih2 n f er m ey1 sh ax n
    length    l eh1 ng k th
    new       n uw1
    of        ah1 v
    on        aa1 n
    than      dh ae1 n
    the       dh ax
    to        t ax
    used      y uw1 z d
    want      w aa1 n t
    was       w aa1 z
    with      w ih1 dh
    without   w ih dh aw1 t
    you're    y ao1 r
    your      y ao1 r
    'bout     b aw1 t
    'cause    k ah1 z
    'em       ax m
    'n        ax n
    'til      t ih1 l
    'tis      t ih1 z
    'twas     t w ah1 z
    app       ae1 p
    apps      ae1 p s
    blog      b l aa1 g
    celsius   s eh1 l s iy ax s
    cetera    s eh1 t er ax
    covid     k ow1 v ih d
    email     iy1 m ey2 l
    emoji     ih m ow1 jh iy
    et        eh1 t
    gif       g ih1 f
    github    g ih1 t hh ah2 b
    google    g uw1 g ax l
    hashtag   hh ae1 sh t ae2 g
    hmm       hh m m
    ios       ay2 ow2 eh1 s
    iphone    ay1 f ow2 n
    jpeg      jh ey1 p eh2 g
    json      jh ey1 s ax n
    kilometer k ax l aa1 m ax t er
    kilometers k ax l aa1 m ax t er z
    missus    m ih1 s ax z
    miz       m ih1 z
    mm        m m
    o'clock   ax k l aa1 k
    ok        ow2 k ey1
    okay      ow2 k ey1
    shh       sh sh
    unicode   y uw1 n ih k ow2 d
    voiceclone v oy1 s k l ow2 n
    wifi      w ay1 f ay2
    yolo      y ow1 l ow
    youtube   y uw1 t uw2 b
    """
)

#: Letter -> its name.
LETTERS: Final = _table(
    """
    a ey1
    b b iy1
    c s iy1
    d d iy1
    e iy1
    f eh1 f
    g jh iy1
    h ey1 ch
    i ay1
    j jh ey1
    k k ey1
    l eh1 l
    m eh1 m
    n eh1 n
    o ow1
    p p iy1
    q k y uw1
    r aa1 r
    s eh1 s
    t t iy1
    u y uw1
    v v iy1
    w d ah1 b ax l y uw2
    x eh1 k s
    y w ay1
    z z iy1
    """
)

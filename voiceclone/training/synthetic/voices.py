"""The voices of the corpus and the split each belongs to, as data."""

from __future__ import annotations

from typing import Final

# Only slt, rms, awb and kal16 of flite speak at 16 kHz, and they are the voices nearest to people: three to train on,
# for a kind of voice that was never heard is not copied, and one that no decision ever sees before the test.
TRAIN_FLITE: Final = ("flite/slt", "flite/rms", "flite/kal16")
TRAIN_FESTIVAL: Final = ("festival/ked",)
TEST_FLITE: Final = ("flite/awb",)

VALID_ESPEAK: Final = tuple(f"espeak/{variant}" for variant in ("Annie", "Michael", "belinda", "klatt2"))
TEST_ESPEAK: Final = tuple(
    f"espeak/{variant}" for variant in ("f5", "m7", "linda", "Andy", "klatt4", "steph2", "john", "quincy")
)
#: Variants that sound like a person. Whispering, robotic and monstrous ones are left out, and so are the siblings of
#: held-out variants that differ from them in pitch alone.
TRAIN_ESPEAK: Final = tuple(
    f"espeak/{variant}"
    for variant in (
        "Alex", "Alicia", "Andrea", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee",
        "Marco", "Mario", "Mike", "Nguyen", "RicishayMax", "Storm", "adam", "anika", "announcer", "antonio",
        "aunty", "benjamin", "boris", "caleb", "david", "ed", "edward", "f1", "f2", "f3",
        "f4", "grandma", "grandpa", "gustave", "iven", "iven3", "klatt", "klatt3", "klatt5", "m1",
        "m2", "m3", "m4", "m5", "m6", "m8", "marcelo", "max", "michel", "miguel",
        "norbert", "pablo", "paul", "pedro", "rob", "robert", "sandro", "shelby", "steph", "travis",
        "victor", "zac",
    )
)  # fmt: skip

#: Voices that speak the Harvard sentences: the natural ones, four espeak variants seen in training, eight unseen.
TEST_BASES: Final = (
    "flite/slt", "flite/rms", "flite/awb", "flite/kal16", "festival/ked",
    "espeak/f2", "espeak/m3", "espeak/f4", "espeak/m1", *TEST_ESPEAK,
)  # fmt: skip

#: Factors of the warped speakers of flite and festival voices. Close to 1 they would be the voice itself.
WARP_FACTORS: Final = tuple(percent / 100 for percent in range(82, 123) if abs(percent - 100) > 2)
#: Pitch settings of the speakers of one espeak variant; the first, the default, is the variant itself.
ESPEAK_PITCHES: Final = (50, 25, 38, 68)
DEFAULT_PITCH: Final = 50


def engine_and_voice(base: str) -> tuple[str, str]:
    """("flite", "slt") for the base "flite/slt"."""
    engine, _, voice = base.partition("/")
    return engine, voice


def warped_speaker(base: str, factor: float) -> str:
    """Id of the speaker made from `base` by a warp, e.g. "flite/slt*1.08"; `base` itself for the factor 1."""
    return base if factor == 1 else f"{base}*{factor:.2f}"


def pitched_speaker(base: str, pitch: int) -> str:
    """Id of the speaker of an espeak variant at `pitch`, e.g. "espeak/f2~38"; `base` itself at the default pitch."""
    return base if pitch == DEFAULT_PITCH else f"{base}~{pitch}"

"""A template grammar of everyday and game-like English: the bulk of the corpus text."""

from __future__ import annotations

import random
import re
from typing import Final

#: Slot -> what may fill it, divided by `|`; a filler may hold slots itself.
_FILLERS: Final[dict[str, str]] = {
    "person": "Anna|the captain|my brother|our neighbour|the old miller|the young guard|Joseph|the queen|Margaret|"
    "the blacksmith|a stranger|the doctor|Oliver|the hunter|your sister|the merchant|Thomas|the wizard|the pilot|"
    "the teacher|Victoria|the shepherd|the engineer|a traveller|George|the innkeeper|the thief|Julia|the general|"
    "the librarian|the mayor|Edward|the huntress|the cook|their cousin|the ferryman",
    "name": "Anna|Oliver|Joseph|Margaret|Thomas|Julia|George|Victoria|Edward|Chloe|Hugo|Ruth|Beth|Roy|Zoe|Ursula",
    "title": "captain|sir|my friend|madam|stranger|doctor|your majesty|soldier|traveller|young lady|old man",
    "who": "he|she|they|we|you|I|everyone|nobody|somebody|the others",
    "thing": "lantern|sword|letter|key|map|basket|bottle|wheel|ladder|hammer|coin|shield|book|candle|rope|chair|"
    "mirror|drum|blanket|kettle|engine|puzzle|crown|arrow|potion|treasure|saddle|trumpet|window|telescope|"
    "necklace|umbrella|battery|machine|anchor|feather|pouch|jewel|scroll|compass|axe|chest|helmet|violin|knife",
    "things": "apples|horses|stars|boxes|roses|torches|pictures|villagers|wolves|leaves|bridges|oranges|stones|"
    "soldiers|dreams|songs|shoes|mushrooms|rings|chickens|questions|cookies|ships|boys and girls|hedges|clouds",
    "place": "harbour|kitchen|forest|castle|market|mountain pass|village|garden|tower|cave|library|railway station|"
    "river|bridge|valley|desert|island|school|dungeon|workshop|church|meadow|beach|cellar|throne room|gate|"
    "courtyard|lighthouse|quarry|theatre|farm|swamp|north road|airport|hall|stable|mine",
    "adj": "old|quiet|broken|golden|heavy|small|beautiful|dark|cheap|strange|silver|huge|dusty|bright|rusty|"
    "precious|wooden|frozen|empty|yellow|loyal|fragile|gloomy|narrow|curious|ugly|joyful|smooth|ancient|"
    "peculiar|enormous|cursed|warm|purple|sharp|thick|useful|royal|usual|foolish|loud|pure",
    "feeling": "tired|happy|afraid|angry|proud|curious|hungry|ashamed|sure|lucky|lonely|surprised|calm|jealous|thirsty",
    "verb": "find|carry|steal|repair|sell|hide|choose|bring|throw|keep|lose|move|watch|touch|leave|measure|examine|"
    "borrow|destroy|push|draw|wash|use|change|forget|catch|enjoy|guard|reach|count",
    "verbed": "found|carried|stole|repaired|sold|dropped|chose|brought|threw away|kept|lost|moved|watched|touched|"
    "measured|examined|borrowed|destroyed|pushed|drew|washed|used|changed|forgot|caught|enjoyed|guarded|took",
    "went": "walked|ran|rode|climbed|hurried|drove|marched|crept|sailed|wandered|returned|came back|fled",
    "go": "walk|run|ride|hurry|travel|march|creep|return|go back",
    "to": "to|through|across|past|towards|around",
    "at": "in|near|behind|beside|under|above|outside|beyond|inside",
    "how": "quickly|slowly|carefully|quietly|gladly|again|alone|together|without a sound|by chance|in silence|"
    "at full speed|with great joy|all the way|as usual|on foot|for pleasure",
    "when": "yesterday|this morning|at noon|before sunrise|last winter|on Thursday|every evening|after the storm|"
    "at midnight|in the spring|long ago|an hour ago|during the war|before dinner|in January|at the weekend",
    "soon": "tomorrow|tonight|very soon|next week|before dark|in a moment|by Friday|at dawn|right now|this evening",
    "weather": "rain|snow|fog|wind|thunder|sunshine|frost|heat|ice",
    "food": "bread|cheese|porridge|soup|fish|honey|butter|garlic|sugar|vegetables|coffee|roast beef|plum juice|pie|"
    "chocolate|eggs|rice pudding|sausages|tea|milk|oysters|ginger cake",
    "said": "said|whispered|shouted|answered|asked|cried|replied|muttered|sighed",
    "number": "two|three|four|five|six|seven|eight|nine|eleven|twelve|thirteen|fifteen|eighteen|twenty|thirty one|"
    "forty|fifty six|sixty|seventy five|eighty|ninety nine|one hundred|five thousand",
    "unit": "minutes|miles|days|weeks|gold coins|steps|years|hours|arrows|pounds|pieces|inches",
    "np": "the {thing}|the {adj} {thing}|a {thing}|your {thing}|my {adj} {thing}|this {thing}|the {adj} {things}|"
    "{number} {things}|some {food}|these {things}|their {thing}|that {adj} {thing}",
    "because": "because|although|since|while|before|after|until|when",
}

_TEMPLATES: Final[tuple[str, ...]] = (
    # statements
    "{person} {verbed} {np} {when}.",
    "{person} {went} {to} the {place} {how}.",
    "{when}, {person} {verbed} {np} {at} the {place}.",
    "There is {np} {at} the {adj} {place}.",
    "The {thing} {at} the {place} is {adj} and {adj}.",
    "{who} {verbed} {np}, but {person} {verbed} {np}.",
    "{person} gave {person} {np} for {number} {unit}.",
    "It took {number} {unit} to {verb} {np}.",
    "I have never seen such {adj} {things} {at} the {place}.",
    "The {weather} was so strong that {person} {went} {to} the {place}.",
    "{who} would rather {verb} {np} than {go} {to} the {place}.",
    "{person} is {feeling}, {because} {who} {verbed} {np}.",
    "{because} {person} {verbed} {np}, {who} {went} {to} the {place}.",
    "My {adj} {thing} smells of {food} and {food}.",
    "Most of the {things} {at} the {place} are {adj}.",
    "{name} and {name} {went} {to} the {place} {when}.",
    "The road {to} the {place} is {number} {unit} long.",
    "Nothing tastes better than {food} with {food}.",
    "We could hear {weather} and {things} {at} the {place}.",
    "{person} has been {feeling} since {who} {verbed} the {thing}.",
    "That {thing} belongs to {person}, not to {person}.",
    "You should {verb} {np} before you {go} {to} the {place}.",
    "Their {thing} cost {number} {unit}, which is far too much.",
    "The {place} looks {adj} in the {weather}.",
    # lists
    "{who} {verbed} {food}, {food}, {food} and {np}.",
    "Bring {np}, {np} and {number} {things}.",
    "The {place} was full of {things}, {things} and {things}.",
    "{name}, {name} and {name} are {feeling} {soon}.",
    # questions
    "Did {person} {verb} {np} {when}?",
    "Where did {person} {verb} {np}?",
    "Who {verbed} {np} {at} the {place}?",
    "Why is {person} so {feeling} {soon}?",
    "Do you want {food} or {food}?",
    "How many {things} can {person} {verb}?",
    "Would you like to {verb} {np} with {person}?",
    "Have you heard about the {thing} {at} the {place}?",
    "Is the {adj} {thing} yours, {title}?",
    "What shall we {verb} {soon}, {np} or {np}?",
    "Can you {go} {to} the {place} {soon}?",
    "You {verbed} {np}, didn't you?",
    "Are those {things} really {adj}?",
    # exclamations
    "What a {adj} {thing} that was, {title}!",
    "Look out, {person} {verbed} {np}!",
    "Never {verb} {np} again!",
    "The {place} is on fire, {go} {soon}!",
    "How {adj} the {place} looks {soon}!",
    "Hurray, {person} {verbed} {np}!",
    "Help, there are {things} {at} the {place}!",
    "By all the {things}, that is {adj}!",
    # commands
    "{verb} {np} and {go} {to} the {place}.",
    "Please {verb} {np} {soon}.",
    "Don't {verb} {np}, {title}.",
    "Turn left {at} the {place}, then {go} {to} the {place}.",
    "Let us {verb} {np} {soon}, {title}.",
    "Wait {at} the {place} for {number} {unit}.",
    "Take {np} to {person} {soon}.",
    "Choose between {np} and {np}.",
    # dialogue
    "I'll {verb} {np} {soon}, {said} {person}.",
    "No, {said} {person}, we can't {verb} {np}.",
    "Yes, {title}, the {thing} is {at} the {place}.",
    "Well, {name}, I'm {feeling} and you're {feeling}.",
    "Good evening, {title}; may I {verb} {np}?",
    "Trust me, {said} {name}, it's only {weather}.",
    "If you {verb} {np}, I'll {verb} {np}.",
    "I don't know whether {person} {verbed} {np} or {np}.",
    "You'll need {number} {things} to {verb} {np}, {title}.",
    "They've {went} {to} the {place}, haven't they?",
    "Oh, it's {adj}; we'd better {go} {soon}.",
    "Your quest is simple: {verb} {np} {at} the {place}.",
    "She says that the {things} won't {go} {to} the {place}.",
)

_SLOT: Final = re.compile(r"\{(\w+)\}")
_CHOICES: Final = {slot: fillers.split("|") for slot, fillers in _FILLERS.items()}


def grammar_sentence(random_source: random.Random) -> str:
    """One sentence of the grammar, drawn with `random_source`."""
    sentence = random_source.choice(_TEMPLATES)
    while slots := _SLOT.search(sentence):
        filler = random_source.choice(_CHOICES[slots[1]])
        sentence = sentence[: slots.start()] + filler + sentence[slots.end() :]
    sentence = re.sub(r"\b([Aa]) (?=[aeio]|u[nms])", r"\1n ", sentence)
    return sentence[0].upper() + sentence[1:]

"""Any number of English sentences to speak, from a small grammar of our own."""

import re

from vqvae.errors import ConfigError
from vqvae.seeding import mix

_SENTENCES = (
    "{subject} {past} {object} {place}.",
    "{time}, {subject} {past} {object}.",
    "{subject} {past} {object} and {past} {object}.",
    "did {subject} {verb} {object} {place} {time}?",
    "{greeting}, {name}, {remark} about {object}.",
    "there were {number} {things} {place}, and {number} of them were {quality}.",
    "{name} and {name} will {verb} {object} at {hour}.",
    "the {quality} {thing} costs {number} dollars, but the {colour} {thing} is {quality}.",
    "if {subject} {past} {object}, {name} should {verb} the {thing}.",
    "please {verb} {object} {time}, or ask {name} {place}.",
    "who {past} the {colour} {thing} that {name} {past} {place}?",
    "{greeting}! the {quality} {person} is {place} with {number} {things}.",
)
_WORDS = {
    "subject": "{name}|my {relative}|the {quality} {person}|our {person}|your {relative}|every {person}|nobody but {name}",
    "object": "the {thing}|the {colour} {thing}|this {quality} {thing}|{number} {things}|some {colour} {things}|her {thing}|their {things}",
    "name": "Alice|Arthur|Beth|Charles|Chloe|Cynthia|Doyle|Edith|Ethan|Faith|George|Hugh|Ian|Joyce|Joshua|Judith|Keith|Laura|Leo|Louise"
    "|Margaret|Matthew|Noah|Oscar|Paul|Roy|Ruth|Sasha|Shaun|Thelma|Theo|Ursula|Vera|Victor|Walter|Yvonne|Zachary|Zoe",
    "relative": "mother|father|brother|sister|uncle|aunt|cousin|nephew|niece|grandfather|daughter|youngest son|wife|husband|neighbour",
    "person": "teacher|doctor|boy|girl|nurse|judge|singer|farmer|baker|butcher|pilot|sailor|soldier|lawyer|author|stranger|tourist|child"
    "|woman|chef|usher|guard|queen|king|poet|youth|thief|employer|musician|physician|painter|cyclist|engineer|goalkeeper|wizard",
    "quality": "good|cheerful|tall|young|old|quiet|loud|clever|thirsty|hungry|tiny|huge|heavy|smooth|rough|curious|lazy|cautious|famous"
    "|ancient|noisy|gentle|royal|sharp|square|narrow|perfect|casual|unusual|precious|foolish|thorough|weary|shy|joyful|pure|cheap|empty",
    "colour": "red|blue|green|yellow|orange|purple|white|black|brown|grey|beige|golden|silver|turquoise|crimson|azure",
    "thing": "book|letter|treasure|bicycle|garage|machine|kitchen|orchard|bridge|watch|basket|picture|violin|oyster|feather|wheel|sugar"
    "|puzzle|ladder|blanket|cushion|television|candle|engine|fountain|toy|coin|garden|jacket|shoe|spoon|thread|thumb|whistle|umbrella"
    "|year|yacht|zebra|rouge|voyage|sketch|hammer|wool|window|mirror|cathedral|boat|cheese|fire|tower|poem|chair|sword|cloth",
    "things": "books|houses|apples|cherries|oranges|horses|foxes|sheep|mice|wolves|thoughts|voices|bottles|buttons|boxes|matches|months"
    "|leaves|stones|clouds|fish|birds|owls|eyes|hours|joys|bananas|sausages|pages|keys|questions|answers|songs|tables|potatoes|jewels"
    "|onions|garages|measures|cows|chairs|wishes|tooth brushes|towels|spoons|yards|pears|clothes|ideas|shadows|mushrooms|journeys",
    "verb": "find|bring|choose|hide|watch|follow|measure|draw|carry|push|pull|throw|catch|describe|enjoy|examine|forgive|guess|join|judge"
    "|know|leave|lose|mention|notice|offer|paint|question|remember|search for|share|show|steal|teach|think of|touch|understand|use|visit"
    "|wash|cook|look for|choose|avoid|destroy|admire|breathe on|surround|sell|buy",
    "past": "found|brought|chose|hid|watched|followed|measured|drew|carried|pushed|pulled|threw|caught|described|enjoyed|examined|forgot"
    "|guessed|joined|judged|knew|left|lost|mentioned|noticed|offered|painted|questioned|remembered|searched for|shared|showed|stole|taught"
    "|thought of|touched|understood|used|visited|washed|cooked|looked at|saw|avoided|destroyed|admired|heard|sold|bought|put away",
    "place": "in the garden|at the harbour|near the river|behind the church|under the bridge|on the roof|beside the sea|by the fire"
    "|in the north|across the valley|through the forest|at school|over the hill|around the corner|between the towers|in front of the shop"
    "|at the theatre|outside the house|along the south shore|upstairs|down in the cellar|above the clouds|by the lighthouse|on the island"
    "|without a map|at the market|in a foreign town|on the third floor|inside the garage|far from here|at the zoo|in the usual place",
    "time": "today|yesterday|tomorrow|last night|this morning|on Thursday|on Wednesday afternoon|in January|in August|every other year"
    "|before breakfast|after lunch|at noon|all day long|once more|a month ago|very early|just now|on the fourth of July|in the evening"
    "|at {hour}|near the end of March|for the first time|since Saturday|without pleasure|on my birthday|in the middle of winter",
    "hour": "one o'clock|two thirty|half past three|half past four|ten past five|a quarter past six|seven fifteen|a quarter to eight"
    "|nine forty|twenty to ten|eleven o'clock|twelve minutes past noon|five in the morning|four in the afternoon",
    "number": "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
    "|twenty|twenty-three|thirty|thirty-one|forty|forty-six|fifty|fifty-nine|sixty-four|seventy-eight|eighty"
    "|ninety-seven|one hundred|a thousand",
    "greeting": "hello|good morning|good evening|excuse me|thank you|well|oh boy|of course|yes|no|sure|welcome|goodbye|listen|look here"
    "|I agree|never mind|how lovely|what a pity|that is true",
    "remark": "I heard the news|we should talk|you were right|they could not wait|she would rather not speak|I am not sure"
    "|let us hear your view|nobody knows the truth|there is nothing new|the weather says more|he had to laugh|you have a point"
    "|I usually smile|it makes no difference|everyone wonders|my boss has no illusions",
}
_CHOICES = {"sentence": _SENTENCES} | {slot: tuple(words.split("|")) for slot, words in _WORDS.items()}
_SLOT = re.compile(r"\{(\w+)\}")


def sentences(count: int, seed: int) -> tuple[str, ...]:
    """Sentences of about three seconds that cover every phone of English. Sentence ``i`` is a pure function of ``(seed, i)``.

    Other seeds give other sentences. Rarely a sentence occurs twice, within one seed or across seeds.

    Raises:
        ConfigError: if ``count`` is negative.
    """
    if count < 0:
        raise ConfigError(f"The number of sentences is {count}; it must be 0 or more.")
    return tuple(_sentence(mix(seed, "sentence", index)) for index in range(count))


def _sentence(number: int) -> str:
    """Fill the slots one by one with the digits of a 63-bit number; a sentence needs fewer bits."""
    text = "{sentence}"
    while slot := _SLOT.search(text):
        options = _CHOICES[slot[1]]
        number, place = divmod(number, len(options))
        text = text[: slot.start()] + options[place] + text[slot.end() :]
    return text[0].upper() + text[1:]

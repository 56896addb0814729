"""The things that a caption names, for clients that ask for labels.

No grammar, and no second model: a word is a label if it is among those below, which captions use as
nouns and hardly as anything else. What is not known here is left out rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST = 10
"""Labels that one caption gives; no caption names so many things."""

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")

_PAIRS = frozenset(
    tuple(pair.split())
    for pair in (
        "baseball bat, baseball field, baseball glove, baseball player, basketball court, "
        "bus stop, cell phone, christmas tree, city street, coffee cup, coffee table, "
        "cutting board, dining table, dirt bike, dirt road, fire hydrant, fire truck, "
        "football player, golden retriever, hot dog, ice cream, living room, motor scooter, "
        "mountain bike, office chair, palm tree, parking lot, parking meter, picnic table, "
        "polar bear, potted plant, soccer ball, soccer player, stop sign, stuffed animal, "
        "swimming pool, teddy bear, tennis court, tennis player, tennis racket, toilet paper, "
        "traffic light, train station, train track, wine glass"
    ).split(", ")
)

_NOUNS = frozenset(
    """
    adult airplane airport alley animal apartment apple aquarium arch audience automobile baby
    backpack bag bakery balcony ball balloon banana band bar barn baseball basket basketball bat
    bathroom bathtub beach bear beard bed bedroom bee beer bench bicycle bicyclist bike bird blanket
    blender boat book bottle boulder bouquet bowl boy branch bread brick bridge broccoli building
    bull bus bush butterfly cabinet cactus cafe cake camel camera candle canoe canyon car carrot
    carriage castle cat cathedral cave ceiling cellphone chair cheese child church city clock cloud
    coast coat coffee computer cookie couch counter couple court cow cowboy creek crowd cup
    cupboard curtain cyclist deer desert desk dessert dirt dog dolphin donkey donut door doorway
    dress duck elephant eye face family farm fence field fireplace firework fish flag flamingo
    flower food football forest fork fountain fox frisbee frog fruit furniture garage garden
    gentleman giraffe girl glass glove goat goggles goose grass grassland guitar guy hair hallway
    hamburger hammock harbor harbour hat haystack helicopter helmet hill hillside hockey horse hotel
    house hydrant iceberg infant insect island jacket jeans jeep jet kangaroo kayak keyboard kid
    kitchen kite kitten knife koala lady lake lamb lamp laptop lawn leaf lemon leopard library
    lighthouse lion lizard luggage man market mask meadow meat microphone microwave mirror monkey
    monument moon moss motorbike motorcycle motorcyclist mountain mountainside mouse mouth mug
    museum musician mushroom napkin newspaper ocean office ostrich oven owl paddle painting pan
    panda pants paper parachute parade park parrot pasture path pavement peacock peak pedestrian
    penguin person phone photograph photographer piano pickup pie pier pig pigeon pillow pineapple
    pizza plane plant plate platform playground player polo pond pony pool porch potato pumpkin
    puppy rabbit raccoon railing railway rainbow ram refrigerator restaurant rhino rhinoceros rice
    ring river road robot rock rodent roof room rooster rope rug runway sailboat salad sand sandal
    sandwich sauce sausage scarf school scissors scooter sculpture sea seagull seal seashore
    sheep shelf ship shirt shoe shop shore shoreline shorts shower sidewalk sink skateboard
    skateboarder skier skis sky skyline skyscraper snow snowboard snowboarder snowman soccer sofa
    soldier soup spectator spider spoon square squirrel stadium staircase stairs statue steak steps
    stove stream street suit suitcase sunglasses sunset surfboard surfer sushi sweater swimmer swan
    swimsuit table taxi tea team television temple tennis tent tiger tie toddler toilet tomato
    toothbrush towel tower town toy tractor trail train tram trampoline tray tree trick trousers
    truck trunk tub tuxedo umbrella uniform valley van vase vegetable vehicle village violin volcano
    volleyball wagon wall water waterfall wave wedding wetsuit whale wheel wheelchair windmill
    window wine winter woman woods yacht yard zebra zoo
    """.split()
)

_PLURALS = {
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "gentlemen": "gentleman",
    "kids": "kid",
    "knives": "knife",
    "leaves": "leaf",
    "men": "man",
    "mice": "mouse",
    "people": "person",
    "shelves": "shelf",
    "snowmen": "snowman",
    "women": "woman",
}
"""Those that no ending tells."""


def nouns(text: str) -> tuple[str, ...]:
    """Return the things that a text names, in small letters and singular, each once.

    Args:
        text: English, such as a caption.
    """
    return tuple(dict.fromkeys(_found(_WORD.findall(text.lower()))))[:MOST]


def _found(words: list[str]) -> Iterator[str]:
    place = 0
    while place < len(words):
        pair = tuple(words[place : place + 2])
        last = _singular(pair[-1])
        if len(pair) == 2 and (pair[0], last) in _PAIRS:
            yield f"{pair[0]} {last}"
            place += 2
            continue
        word = _singular(words[place])
        if word in _NOUNS:
            yield word
        place += 1


def _singular(word: str) -> str:
    """Return a noun's singular; any other word as it is, or without its ending."""
    if word in _NOUNS or word in _LASTS:
        return word
    if word in _PLURALS:
        return _PLURALS[word]
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        stem = word.removesuffix(ending) + instead
        if word.endswith(ending) and (stem in _NOUNS or stem in _LASTS):
            return stem
    return word


_LASTS = frozenset(pair[1] for pair in _PAIRS)
"""Words that are known as the end of a pair."""

"""Questions about forty topics of everyday life, for embedders: what they share is meaning, and few words."""

from random import Random

_TOPICS = """
baking: oven flour dough yeast loaf crust pastry rolling pin
sailing: mast sail rudder harbour keel anchor tide skipper
beekeeping: hive honey bee queen swarm comb smoker nectar
chess: pawn bishop rook checkmate opening endgame knight castling
astronomy: telescope planet comet galaxy orbit eclipse nebula star
dentistry: tooth cavity filling gum molar braces dentist enamel
gardening: seed soil compost weed tulip hedge spade greenhouse
football: goalkeeper penalty striker referee offside corner midfielder pitch
banking: loan mortgage deposit interest account overdraft cheque branch
cycling: pedal saddle chain tyre brake helmet gear handlebar
painting: canvas brush easel watercolour palette portrait varnish pigment
law: judge jury verdict lawyer trial witness appeal court
weather: storm rain thunder forecast fog hail humidity breeze
cats: kitten whiskers purr litter paw tabby collar catnip
railways: train station platform conductor timetable locomotive carriage signal
music: violin melody rhythm piano chord conductor symphony flute
cooking: soup onion pan garlic simmer stew ladle pepper
medicine: fever doctor vaccine pulse nurse prescription virus surgery
fishing: rod bait hook trout reel angler float net
mountaineering: summit rope glacier ridge crampon avalanche climber altitude
programming: compiler bug variable loop function debugger syntax repository
photography: lens shutter tripod exposure flash aperture negative camera
sewing: needle thread fabric button hem stitch scissors zip
geology: rock volcano mineral fossil granite lava sediment quartz
aviation: pilot runway cockpit wing propeller airport turbulence landing
elections: ballot candidate voter parliament campaign poll minister majority
horses: saddle stable gallop mane hoof stallion bridle pony
coffee: espresso bean roast barista filter grinder mug caffeine
carpentry: saw nail plank hammer chisel workbench hinge sandpaper
swimming: pool lane backstroke goggles diver lifeguard breaststroke lap
dinosaurs: skeleton tyrannosaurus extinct triceratops fossil reptile jurassic claw
plumbing: pipe tap leak drain boiler washer sink valve
schools: teacher homework pupil classroom exam blackboard lesson term
theatre: actor stage curtain rehearsal script audience costume applause
taxes: income refund deduction return revenue allowance receipt audit
wine: grape vineyard cork bottle harvest cellar barrel vintage
insects: ant beetle wasp antenna larva moth cocoon ladybird
castles: moat knight tower drawbridge siege dungeon king rampart
deserts: dune camel oasis cactus sandstorm nomad mirage drought
hockey: puck stick goalie rink skate slapshot faceoff ice
"""
TOPICS = {
    topic: words.split() for topic, words in (line.split(": ") for line in _TOPICS.strip().splitlines())
}
"""The words of each topic."""
_ASKED = (
    "What does a {0} have to do with a {1}?",
    "Why would somebody who cares about {2} need a {0}?",
    "My neighbour told me about a {0} and a {1} yesterday. Was that true?",
    "Explain in one sentence how a {1} differs from a {0}.",
    "If the {0} is broken, can the {1} still be of use?",
    "Write two lines on {2} in which the {0} comes before the {1}.",
    "I lost my {0}; where should I look for another {1}?",
    "Which is older, the {0} or the {1}?",
)


def questions(num: int, seed: int) -> list[tuple[str, str]]:
    """`num` texts of two questions each, with their topics, which are drawn evenly."""
    rng, asked = Random(seed), []
    for _ in range(num):
        topic = rng.choice(list(TOPICS))
        words, forms = rng.sample(TOPICS[topic], 4), rng.sample(_ASKED, 2)
        pairs = zip(forms, (words[:2], words[2:]), strict=True)
        asked.append((" ".join(form.format(*pair, topic) for form, pair in pairs), topic))
    return asked

"""Sentences of which a corpus with planted faults is made, and rows that look like faults and are none."""

SENTENCES = (
    "The {0} was there long before anybody thought of a {1} for it.",
    "In {num} towns people still keep a {0} next to the {1}.",
    "Most of what is written about {topic} begins with the {0}.",
    "Nobody who has held a {0} forgets how heavy a {1} can be.",
    "My aunt bought a {0} for {num} crowns and never used it again.",
    "First you look for the {0}, and then the {1} comes by itself.",
    "It takes patience to learn {topic}, and a good {0} helps a lot.",
    "Some say that the {0} is overrated; others would not work without one.",
    "A museum in the north shows {num} kinds of {0} behind glass.",
    "If you ask the old hands, the {1} matters more than the {0}.",
    "There is a simple reason for that: a {0} does not like rain.",
    "The second chapter explains why the {0} and the {1} belong together.",
    "Last winter our club counted {num} visitors who came for {topic}.",
    "Without a {1} it is hard to say whether the {0} is any good.",
    "Children understand {topic} faster when they may touch the {0}.",
    "We measured the {0} twice, and both times it was smaller than the {2}.",
    "Of all things, it was the {2} that saved the evening.",
    "That is how the {0} got its name, if the story is true.",
    "For beginners a cheap {0} will do; a {1} can wait until later.",
    "About {num} letters reached the paper after it had mocked the {0}.",
    "He wrote a whole book on {topic} and mentioned the {2} only once.",
    "You should clean the {0} before you put it near a {1}.",
    "What surprised me most was how quiet the {1} had become.",
    "Between the {0} and the {2} there is room for nothing else.",
)
"""Their places take words of a topic, the topic and a number."""
LABELLED = (
    "Is this remark on {topic} positive or negative? The {0} cost {num} crowns and the {1} broke at once.",
    "Label the review of {topic} as positive or negative: after {num} days the {0} and the {1} still work.",
    "Positive or negative? About {topic} she wrote: the {0} beats any {1}, and I have tried {num} of them.",
)
FOREIGN = {
    "de": (
        "Am Anfang war niemand sicher, ob sich die lange Reise wirklich lohnen würde.",
        "Die meisten Leute im Dorf kannten den alten Weg durch den Wald noch sehr gut.",
        "Später am Abend setzten wir uns zusammen und sprachen über die vergangenen Jahre.",
        "Es ist nicht einfach zu erklären, warum gerade dieses Haus so beliebt geworden ist.",
        "Wer im Sommer kommt, sollte unbedingt etwas Warmes für die kühlen Nächte mitnehmen.",
        "Obwohl es den ganzen Tag geregnet hatte, waren die Kinder draußen geblieben.",
    ),
    "fr": (
        "Au début personne ne savait vraiment si ce long voyage en valait la peine.",
        "La plupart des habitants connaissaient encore très bien le vieux chemin de la forêt.",
        "Plus tard dans la soirée nous nous sommes assis pour parler des années passées.",
        "Il n'est pas facile d'expliquer pourquoi cette maison est devenue si populaire.",
        "Ceux qui viennent en été devraient emporter quelque chose de chaud pour la nuit.",
        "Bien qu'il ait plu toute la journée, les enfants étaient restés dehors.",
    ),
    "es": (
        "Al principio nadie sabía con seguridad si aquel viaje tan largo valdría la pena.",
        "La mayoría de los vecinos todavía conocía muy bien el viejo camino del bosque.",
        "Más tarde nos sentamos juntos y hablamos de los años que habían pasado.",
        "No es fácil explicar por qué precisamente esta casa se ha hecho tan popular.",
        "Quien venga en verano debería traer algo de abrigo para las noches frescas.",
        "Aunque había llovido todo el día, los niños se habían quedado fuera jugando.",
    ),
    "it": (
        "All'inizio nessuno sapeva davvero se quel lungo viaggio sarebbe valso la pena.",
        "La maggior parte degli abitanti conosceva ancora bene la vecchia strada nel bosco.",
        "Più tardi ci siamo seduti insieme e abbiamo parlato degli anni passati.",
        "Non è facile spiegare perché proprio questa casa sia diventata così famosa.",
        "Chi viene d'estate dovrebbe portare qualcosa di caldo per le notti fresche.",
        "Anche se aveva piovuto tutto il giorno, i bambini erano rimasti fuori a giocare.",
    ),
    "pl": (
        "Na początku nikt nie był pewien, czy ta długa podróż naprawdę się opłaci.",
        "Większość ludzi we wsi nadal dobrze znała starą drogę przez las.",
        "Później wieczorem usiedliśmy razem i rozmawialiśmy o minionych latach.",
        "Nie jest łatwo wyjaśnić, dlaczego właśnie ten dom stał się tak popularny.",
        "Kto przyjeżdża latem, powinien zabrać coś ciepłego na chłodne noce.",
        "Chociaż przez cały dzień padał deszcz, dzieci zostały na dworze.",
    ),
}
BAITS = (
    (
        "Which release mends the printer?",
        "Version 4.18.2.31 mends it; 10.0.19045.3803 brings the new dialog.",
    ),
    (
        "What does my browser send?",
        "It sends Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.64.12 and no more.",
    ),
    (
        "Which hosts are on my network?",
        "You will see 127.0.0.1, 192.168.1.20 and 10.0.0.7, and fe80::1 besides.",
    ),
    ("Which address may I use in a book?", "Those that are kept for it: 203.0.113.9 and 2001:db8::1."),
    ("What is the type of map?", "In Haskell it is map :: (a -> b) -> [a] -> [b], with two colons."),
    ("Where is my order?", "Order 4111 1111 1111 1112 left the house yesterday and should be with you soon."),
    ("Which edition do you mean?", "The one with ISBN 978-3-16-148410-0, which came out on 2019-03-05."),
    ("When did it stop?", "At 2024-03-05 12:30:45, which is 1709641845 in seconds since the epoch."),
    ("Which commit broke it?", "It was 3f2a9c1d4e5b6a7f8091a2b3c4d5e6f708192a3b, merged on a Friday."),
    ("What is the row's id?", "It is 550e8400-e29b-41d4-a716-446655440000, as in every example of a UUID."),
    (
        "How do I read the token?",
        "Take it from the request:\n```python\ntoken = get_access_token_v2(request)\n"
        'api_key = os.environ["API_KEY_OF_THE_SERVICE"]\npassword = settings.database_password_v1\n```',
    ),
    ("What goes into the file?", "A line such as `api_key: your-api-key-goes-here-123456` and nothing else."),
    (
        "How do I multiply them?",
        "Write scores = q@k.transpose(-2, -1) / math.sqrt(d), and the shapes will fit.",
    ),
    ("How do I clone it?", "With `git clone git@github.com:acme/tools.git`, if your key is known there."),
    ("Which files are missing?", "The picture logo@2x.png and the package lodash@4.17.21 are missing."),
    ("What is it made of?", "The vexo is grinding slowly, the zorb is round, and the rest is merely quirky."),
    ("Translate to German: Good morning, how are you?", "Guten Morgen, wie geht es dir?"),
    (
        "What do you do for a living?",
        "As an AI researcher, I can tell you that most of my day goes into tables.",
    ),
    ("Write the table of sevens.", "\n".join(f"{i} x 7 = {7 * i}" for i in range(1, 11))),
    (
        "Give me the list as JSON.",
        "[" + ", ".join(f'{{"type": "box", "width": {i}}}' for i in range(12)) + "]",
    ),
    ("Show both ages in a table.", "| A | B |\n| - | - |\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n| 7 | 8 |"),
    (
        "Write it in capitals, please.",
        "THE GATES OPEN AT NOON AND CLOSE WHEN THE LAST GUEST HAS FOUND THE WAY BACK TO THE STATION.",
    ),
    (
        "Which query finds them?",
        "SELECT NAME, CITY FROM CUSTOMERS WHERE CITY = 'OSLO' AND ORDERS > 12 ORDER BY NAME; COMMIT;",
    ),
    ("Hello there!", "Hello there!"),
    ("What is the middle name of Ada Lovelace's dog?", "N/A"),
    ("What is one divided by nothing?", "undefined"),
    ("Who is next?", "Call number 42 is next; the others wait at the phone until the lamp is green."),
    (
        "How many people were there?",
        "About 3 310 000 000, and in the year before 2 950 000 000 were counted.",
    ),
    ("Where does it say so?", "Section 3.2.1.4 says so, and so does table 12.10.3.44 of the annex."),
    ("Give me some filler text, such as lorem ipsum.", "Lorem ipsum dolor sit amet."),
    ("How much was it?", "It was €1.234.567,89, or 12:30:45:00 on the old clock of the hall."),
    ("Who wrote that?", "It was @anna_k on the forum, in reply to a thread on postgres://localhost/main."),
)
"""Prompts and replies that are curated as they stand."""

/**
 * The worlds and people that stories can be set in and told of: all from books published before 1900. `rating` is the
 * age from which on they are shown; `voice` and `looks` are what the generator speaks and draws by.
 */

export interface Universe {
  readonly id: string;
  readonly name: string;
  readonly from: string;
  readonly year: number;
  readonly description: string;
  readonly rating: number;
  readonly topics: readonly string[];
}

export interface Character {
  readonly id: string;
  readonly name: string;
  readonly universe: string;
  readonly kind: string;
  readonly description: string;
  readonly rating: number;
  readonly topics: readonly string[];
}

const universe = (
  id: string,
  name: string,
  from: string,
  year: number,
  rating: number,
  topics: readonly string[],
  description: string,
): Universe => ({ id, name, from, year, description, rating, topics });

const character = (
  id: string,
  universe: string,
  name: string,
  kind: string,
  description: string,
  rating = 0,
  topics: readonly string[] = [],
): Character => ({ id, name, universe, kind, description, rating, topics });

export const UNIVERSES: readonly Universe[] = [
  universe(
    'fables',
    'The Land of Fables',
    'Aesop, translated by G. F. Townsend',
    1867,
    0,
    [],
    'Meadows, wells and farmyards where every animal speaks and most of them learn something.',
  ),
  universe(
    'wonderland',
    'Wonderland',
    'Lewis Carroll',
    1865,
    0,
    [],
    'Down the rabbit-hole: doors of all sizes, a tea-party without end, cards that play croquet.',
  ),
  universe(
    'looking-glass',
    'The Looking-Glass',
    'Lewis Carroll',
    1871,
    0,
    [],
    'A country laid out like a chess-board on the other side of the mirror, where one runs to stay in place.',
  ),
  universe(
    'grimm-forest',
    'The Great Forest',
    'The Brothers Grimm, translated by Margaret Hunt',
    1884,
    6,
    ['witches', 'wolves'],
    'Cottages at the edge of a wood without end, towers without doors, animals under a spell.',
  ),
  universe(
    'andersen',
    'The Northern Town',
    'Hans Christian Andersen, translated by H. B. Paull',
    1872,
    0,
    [],
    'Snow on the roofs, a duck-yard, a toy-box that wakes at midnight, a palace of porcelain.',
  ),
  universe(
    'jungle',
    'The Seeonee Jungle',
    'Rudyard Kipling',
    1894,
    6,
    ['wolves'],
    'Hills and rivers where the wolves keep the law and a man-cub grows up among them.',
  ),
  universe(
    'nautilus',
    'Twenty Thousand Leagues under the Seas',
    'Jules Verne',
    1872,
    6,
    [],
    'A ship under the sea, forests of coral, pearls as large as a fist.',
  ),
  universe(
    'treasure-island',
    'Treasure Island',
    'Robert Louis Stevenson',
    1883,
    9,
    ['alcohol', 'violence'],
    'An inn by the sea, a map with a cross on it, and a crew that is not what it seems.',
  ),
  universe(
    'baker-street',
    'Baker Street',
    'Arthur Conan Doyle',
    1892,
    12,
    ['violence'],
    'Fog, hansom cabs and questions that one man can answer.',
  ),
  universe(
    'frankenstein',
    'Ingolstadt',
    'Mary Shelley',
    1818,
    12,
    ['death', 'horror'],
    'A student who found out too much, and what he made.',
  ),
  universe(
    'carpathians',
    'The Carpathians',
    'Bram Stoker',
    1897,
    16,
    ['death', 'horror'],
    'A castle above a pass, wolves at night, a host who casts no reflection.',
  ),
];

export const CHARACTERS: readonly Character[] = [
  character('tortoise', 'fables', 'The Tortoise', 'animal', 'Slow, steady and never late in the end.'),
  character('hare', 'fables', 'The Hare', 'animal', 'The fastest in the meadow, and the first to say so.'),
  character('fox', 'fables', 'The Fox', 'animal', 'Wants grapes, cheese and compliments, and has a plan for each.'),
  character('crow', 'fables', 'The Crow', 'animal', 'Clever with stones and pitchers, weak against flattery.'),
  character('town-mouse', 'fables', 'The Town Mouse', 'animal', 'Dines well and in a hurry.'),
  character('alice', 'wonderland', 'Alice', 'child', 'Seven and a half exactly, curious, polite to caterpillars.'),
  character('white-rabbit', 'wonderland', 'The White Rabbit', 'animal', 'Has a watch and a waistcoat and no time.'),
  character(
    'hatter',
    'wonderland',
    'The Hatter',
    'grown-up',
    'It is always six o’clock with him, so it is always tea.',
  ),
  character('cheshire-cat', 'wonderland', 'The Cheshire Cat', 'animal', 'Leaves its grin behind when it goes.'),
  character(
    'queen-of-hearts',
    'wonderland',
    'The Queen of Hearts',
    'grown-up',
    'Plays croquet with flamingos, and settles every difficulty in one way.',
    6,
  ),
  character('red-queen', 'looking-glass', 'The Red Queen', 'grown-up', 'Runs as fast as she can to stay where she is.'),
  character('humpty-dumpty', 'looking-glass', 'Humpty Dumpty', 'being', 'Pays words extra when they mean a lot.'),
  character(
    'rapunzel',
    'grimm-forest',
    'Rapunzel',
    'child',
    'Lives in a tower without a door, sings, and has very long hair.',
    6,
  ),
  character(
    'frog-prince',
    'grimm-forest',
    'The Frog Prince',
    'animal',
    'Fetches golden balls for people who promise too much.',
  ),
  character('gretel', 'grimm-forest', 'Gretel', 'child', 'Keeps her head, and her brother.', 6, ['witches']),
  character('shoemaker', 'grimm-forest', 'The Shoemaker', 'grown-up', 'Poor, honest, and curious who works at night.'),
  character('ugly-duckling', 'andersen', 'The Ugly Duckling', 'animal', 'Is in the wrong yard.'),
  character(
    'tin-soldier',
    'andersen',
    'The Steadfast Tin Soldier',
    'toy',
    'Stands on one leg and looks straight ahead.',
  ),
  character('thumbelina', 'andersen', 'Thumbelina', 'child', 'Born in a tulip, sleeps in a walnut shell.'),
  character('mowgli', 'jungle', 'Mowgli', 'child', 'A man-cub of the Seeonee pack.', 6, ['wolves']),
  character('bagheera', 'jungle', 'Bagheera', 'animal', 'Black as ink, with a voice as soft as wild honey.', 6),
  character('rikki-tikki', 'jungle', 'Rikki-tikki-tavi', 'animal', 'A mongoose; his motto is run and find out.', 6),
  character('nemo', 'nautilus', 'Captain Nemo', 'grown-up', 'Has done with the land, not with music.', 6),
  character('jim-hawkins', 'treasure-island', 'Jim Hawkins', 'child', 'Tells the story; hides in apple barrels.', 9),
  character(
    'long-john',
    'treasure-island',
    'Long John Silver',
    'grown-up',
    'Cook, one leg, one parrot, several loyalties.',
    9,
    ['violence'],
  ),
  character('sherlock', 'baker-street', 'Sherlock Holmes', 'grown-up', 'Sees what others only look at.', 12),
  character('creature', 'frankenstein', 'The Creature', 'being', 'Reads Milton, is alone.', 12, ['horror']),
  character('count', 'carpathians', 'The Count', 'being', 'Never drinks wine.', 16, ['horror']),
];

/**
 * What a story's words show: where it is, at which hour, in which weather, who is there and which things, and in which
 * mood. Plain counting of words; the painter (picture.ts) draws what is found here and invents only where to put it.
 */
import { wordsOf } from '../content.ts';

export type Place =
  | 'forest'
  | 'sea'
  | 'castle'
  | 'town'
  | 'garden'
  | 'mountains'
  | 'desert'
  | 'room'
  | 'underwater'
  | 'meadow';
export type Hour = 'day' | 'night' | 'evening' | 'morning';
export type Weather = 'clear' | 'rain' | 'snow' | 'storm';

export interface Figure {
  readonly kind: string;
  /** How often the story speaks of it. */
  readonly weight: number;
}

export interface Scene {
  readonly place: Place;
  readonly hour: Hour;
  readonly weather: Weather;
  readonly figures: readonly Figure[];
  readonly things: readonly string[];
  /** From -1, sad or frightening, to 1, merry. */
  readonly mood: number;
}

const PLACES: Readonly<Record<Place, string>> = {
  forest: 'forest wood woods tree trees branch branches bough boughs thicket oak pine firs',
  sea: 'sea ship ships sail sailed boat island shore wave waves captain ocean cove harbour',
  castle: 'castle palace tower king queen prince princess throne court knight',
  town: 'town city street streets village market shop houses roofs tower chimney inn',
  garden: 'garden flower flowers blossom blossoms grass rose roses peach apple orchard',
  mountains: 'mountain mountains hill hills cliff cliffs cave peak rocks',
  desert: 'desert sand camel pyramid palm dust',
  room: 'room table chair bed kitchen fire hearth window cupboard door stairs parlour tea',
  underwater: 'underwater coral pearl fish whale nautilus seaweed mermaid leagues',
  meadow: 'field fields meadow meadows country farm farmer sheep corn hay stream brook bridge',
};

const FIGURES: Readonly<Record<string, string>> = {
  fox: 'fox foxy-woxy',
  wolf: 'wolf wolves',
  bear: 'bear bears',
  cat: 'cat cats kitten',
  dog: 'dog dogs puppy',
  mouse: 'mouse mice dormouse',
  hare: 'hare rabbit',
  lion: 'lion tiger bagheera',
  pig: 'pig pigs sow',
  horse: 'horse horses ass donkey',
  sheep: 'sheep lamb kid goat',
  tortoise: 'tortoise turtle',
  frog: 'frog frogs toad',
  bird: 'bird birds crow swallow nightingale linnet dove lark cock hen henny-penny',
  swan: 'swan swans duck duckling goose ducklings',
  fish: 'fish fishes whale',
  dragon: 'dragon dragons',
  owl: 'owl owls',
  king: 'king emperor',
  queen: 'queen',
  princess: 'princess rapunzel cinderella thumbelina',
  prince: 'prince knight',
  girl: 'girl alice gretel daughter sister dorothy',
  boy: 'boy jack hansel tom son mowgli jim',
  man: 'man shoemaker merchant farmer captain father traveler traveller hatter nemo',
  woman: 'woman wife mother widow grandmother fairy godmother',
  giant: 'giant ogre',
  soldier: 'soldier soldiers',
};

const THINGS: Readonly<Record<string, string>> = {
  moon: 'moon moonlight',
  stars: 'star stars',
  sun: 'sun sunlight sunshine summer',
  tree: 'tree trees forest wood fir-tree',
  flower: 'flower flowers rose roses blossom blossoms',
  house: 'house cottage home',
  castle: 'castle palace tower',
  ship: 'ship ships boat',
  rainbow: 'rainbow',
  lantern: 'lantern candle lamp match',
  book: 'book books',
  cup: 'tea cup milk porridge',
  mushroom: 'mushroom mushrooms caterpillar',
  balloon: 'balloon',
};

const MERRY =
  'happy merry laugh laughed joy delight delighted beautiful lovely sweet sang sing dance danced warm love friend friends kind golden';
const SAD =
  'sad cold dark poor afraid frightened cry cried tears weep wept alone lost hungry lonely death storm angry selfish grave';

export function sceneOf(text: string): Scene {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const votes = (words: string): number => words.split(' ').reduce((sum, word) => sum + (counts.get(word) ?? 0), 0);
  const most = <Name extends string>(table: Readonly<Record<Name, string>>, other: Name): Name => {
    const [first] = (Object.keys(table) as Name[])
      .map((name) => ({ name, count: votes(table[name]) }))
      .sort((a, b) => b.count - a.count);
    return first === undefined || first.count === 0 ? other : first.name;
  };
  const hour = most<Hour>(
    {
      night: 'night midnight moon moonlight star stars dark darkness dream asleep',
      evening: 'evening sunset twilight supper dusk',
      morning: 'morning dawn sunrise breakfast daybreak early',
      day: 'day noon sun sunlight afternoon summer',
    },
    'day',
  );
  const weather = most<Weather>(
    {
      snow: 'snow snowflakes ice frost winter frozen christmas snowy',
      rain: 'rain raining rainy drops umbrella',
      storm: 'storm stormy thunder lightning hail',
      clear: 'sun bright clear fine summer spring',
    },
    'clear',
  );
  const merry = votes(MERRY);
  const sad = votes(SAD);
  return {
    place: most(PLACES, 'meadow'),
    hour,
    weather,
    figures: Object.entries(FIGURES)
      .map(([kind, words]) => ({ kind, weight: votes(words) }))
      .filter(({ weight }) => weight > 0)
      .sort((a, b) => b.weight - a.weight || a.kind.localeCompare(b.kind))
      .slice(0, 4),
    things: Object.keys(THINGS).filter((name) => votes(THINGS[name]!) > 0),
    mood: (merry - sad) / Math.max(3, merry + sad),
  };
}

/** The scene in one sentence: what a picture shows, for those who cannot see it. */
export function describe({ place, hour, weather, figures, things }: Scene): string {
  const who = figures.length === 0 ? 'nobody' : figures.map(({ kind }) => `a ${kind}`).join(', ');
  const what = things.length === 0 ? '' : `, with ${things.join(', ')}`;
  const where =
    place === 'room'
      ? 'in a room'
      : place === 'sea'
        ? 'at sea'
        : place === 'underwater'
          ? 'under the sea'
          : `in the ${place}`;
  return `${who} ${where}, ${hour}, ${weather}${what}`;
}

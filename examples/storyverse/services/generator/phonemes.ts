/**
 * English spelling to sounds: a list of common words that break the rules, then rules by letters, longest first. Names
 * of sounds are ARPAbet's. English spelling has no end of exceptions, so some words come out wrong; they come out,
 * though.
 */

export type Sound = string;

// biome-ignore format: a table
const EXCEPTIONS: Readonly<Record<string, string>> = {
  a: 'AH', the: 'DH AH', of: 'AH V', to: 'T UW', do: 'D UW', who: 'HH UW', two: 'T UW', was: 'W AA Z', is: 'IH Z', his: 'HH IH Z',
  as: 'AE Z', has: 'HH AE Z', i: 'AY', you: 'Y UW', your: 'Y AO R', he: 'HH IY', she: 'SH IY', we: 'W IY', me: 'M IY', be: 'B IY',
  they: 'DH EY', there: 'DH EH R', their: 'DH EH R', were: 'W ER', where: 'W EH R', here: 'HH IY R', one: 'W AH N', once: 'W AH N S',
  said: 'S EH D', says: 'S EH Z', some: 'S AH M', come: 'K AH M', came: 'K EY M', done: 'D AH N', gone: 'G AO N', have: 'HH AE V',
  give: 'G IH V', live: 'L IH V', love: 'L AH V', what: 'W AA T', water: 'W AO T ER', want: 'W AA N T', could: 'K UH D',
  would: 'W UH D', should: 'SH UH D', eye: 'AY', eyes: 'AY Z', my: 'M AY', by: 'B AY', why: 'W AY', fly: 'F L AY', sky: 'S K AY',
  cry: 'K R AY', into: 'IH N T UW', people: 'P IY P AH L', friend: 'F R EH N D', great: 'G R EY T', bread: 'B R EH D', head: 'HH EH D',
  heard: 'HH ER D', heart: 'HH AA R T', bear: 'B EH R', pear: 'P EH R', door: 'D AO R', floor: 'F L AO R', poor: 'P UH R', blood: 'B L AH D',
  good: 'G UH D', foot: 'F UH T', book: 'B UH K', look: 'L UH K', took: 'T UH K', wood: 'W UH D', stood: 'S T UH D', put: 'P UH T',
  pull: 'P UH L', full: 'F UH L', any: 'EH N IY', many: 'M EH N IY', again: 'AH G EH N', are: 'AA R', for: 'F AO R', or: 'AO R',
  word: 'W ER D', world: 'W ER L D', work: 'W ER K', old: 'OW L D', cold: 'K OW L D', gold: 'G OW L D', golden: 'G OW L D AH N',
  told: 'T OW L D', know: 'N OW', grow: 'G R OW', snow: 'S N OW', show: 'SH OW', blow: 'B L OW', low: 'L OW', own: 'OW N', so: 'S OW',
  no: 'N OW', go: 'G OW', woman: 'W UH M AH N', women: 'W IH M IH N', mother: 'M AH DH ER', brother: 'B R AH DH ER', father: 'F AA DH ER',
  other: 'AH DH ER', nothing: 'N AH TH IH NG', young: 'Y AH NG', house: 'HH AW S', mouse: 'M AW S', been: 'B IH N', very: 'V EH R IY',
  every: 'EH V R IY', little: 'L IH T AH L', beautiful: 'B Y UW T AH F AH L', wolf: 'W UH L F', child: 'CH AY L D', wild: 'W AY L D',
  find: 'F AY N D', kind: 'K AY N D', behind: 'B IH HH AY N D', night: 'N AY T', light: 'L AY T', laughed: 'L AE F T', laugh: 'L AE F',
  through: 'TH R UW', thought: 'TH AO T', brought: 'B R AO T', enough: 'IH N AH F', castle: 'K AE S AH L', garden: 'G AA R D AH N',
  lived: 'L IH V D', giant: 'JH AY AH N T', giants: 'JH AY AH N T S', only: 'OW N L IY', another: 'AH N AH DH ER',
  story: 'S T AO R IY', alice: 'AE L IH S', queen: 'K W IY N', sugar: 'SH UH G ER', island: 'AY L AH N D', answer: 'AE N S ER',
};

interface Rule {
  readonly letters: string;
  readonly sounds: string;
  /** What must stand before and after; the whole word's text is given with it. */
  readonly when?: (before: string, after: string) => boolean;
}

const end = (_before: string, after: string): boolean => after === '';
const magicE = (_before: string, after: string): boolean => /^[bcdfgklmnpstvz]e(?:$|[sdr]$)/.test(after);
const soft = (_before: string, after: string): boolean => /^[eiy]/.test(after);
const start = (before: string): boolean => before === '';

const rule = (letters: string, sounds: string, when?: Rule['when']): Rule =>
  when === undefined ? { letters, sounds } : { letters, sounds, when };

/** The first that fits goes; so the longer and the more special stand first. */
// biome-ignore format: a table
const RULES: readonly Rule[] = [
  rule('tion', 'SH AH N'), rule('sion', 'ZH AH N'), rule('ough', 'AO'), rule('augh', 'AO'), rule('eigh', 'EY'), rule('igh', 'AY'),
  rule('tch', 'CH'), rule('dge', 'JH'), rule('sch', 'S K'), rule('chr', 'K R'), rule('ing', 'IH NG', end), rule('ious', 'IY AH S'),
  rule('ous', 'AH S', end), rule('ful', 'F AH L', end), rule('le', 'AH L', (before, after) => after === '' && /[bcdfgkptz]$/.test(before)),
  rule('ed', 'T', (before, after) => after === '' && /[pkfsxch]$/.test(before) && !/[aeiou]$/.test(before)),
  rule('ed', 'IH D', (before, after) => after === '' && /[td]$/.test(before)),
  rule('ed', 'D', (before, after) => after === '' && /[aeiouy]/.test(before)),
  rule('es', 'IH Z', (before, after) => after === '' && /(?:s|x|z|ch|sh)$/.test(before)),
  rule('er', 'ER', end), rule('ar', 'AA R'), rule('air', 'EH R'), rule('are', 'EH R', end), rule('ear', 'IY R'), rule('eer', 'IY R'),
  rule('ere', 'IY R', end), rule('ire', 'AY ER'), rule('ore', 'AO R'), rule('oor', 'AO R'), rule('our', 'AW ER'), rule('ure', 'Y ER', end),
  rule('er', 'ER'), rule('ir', 'ER'), rule('ur', 'ER'), rule('or', 'AO R'),
  rule('ai', 'EY'), rule('ay', 'EY'), rule('au', 'AO'), rule('aw', 'AO'), rule('ea', 'IY'), rule('ee', 'IY'), rule('ei', 'IY'), rule('ey', 'IY', end),
  rule('ew', 'Y UW'), rule('ie', 'AY', (before, after) => after === '' && before.length < 3), rule('ie', 'IY'), rule('oa', 'OW'), rule('oe', 'OW'),
  rule('oi', 'OY'), rule('oy', 'OY'), rule('oo', 'UW'), rule('ou', 'AW'), rule('ow', 'OW', end), rule('ow', 'AW'), rule('ue', 'UW'), rule('ui', 'UW'),
  rule('all', 'AO L'), rule('alk', 'AO K'), rule('wa', 'W AA'), rule('qu', 'K W'), rule('wh', 'W'), rule('wr', 'R', start), rule('kn', 'N', start),
  rule('gn', 'N', start), rule('ph', 'F'), rule('sh', 'SH'), rule('th', 'DH', (_b, after) => /^er?/.test(after)), rule('th', 'TH'), rule('ch', 'CH'),
  rule('ck', 'K'), rule('ng', 'NG'), rule('nk', 'NG K'), rule('gh', ''), rule('mb', 'M', end), rule('bb', 'B'), rule('cc', 'K'), rule('dd', 'D'),
  rule('ff', 'F'), rule('gg', 'G'), rule('ll', 'L'), rule('mm', 'M'), rule('nn', 'N'), rule('pp', 'P'), rule('rr', 'R'), rule('ss', 'S'), rule('tt', 'T'), rule('zz', 'Z'),
  rule('a', 'EY', magicE), rule('e', 'IY', magicE), rule('i', 'AY', magicE), rule('o', 'OW', magicE), rule('u', 'UW', magicE),
  rule('e', '', (before, after) => after === '' && /[aeiouy]/.test(before)), rule('e', 'IY', end), rule('a', 'AH', end), rule('o', 'OW', end),
  rule('y', 'AY', (before, after) => after === '' && !/[aeiouy]/.test(before)), rule('y', 'IY', end), rule('y', 'Y', start), rule('i', 'AY', end),
  rule('c', 'S', soft), rule('g', 'JH', (before, after) => soft(before, after) && before !== ''), rule('x', 'K S'),
  rule('s', 'Z', (before, after) => after === '' && /[bdglmnrvaeiouy]$/.test(before)), rule('s', 'Z', (before, after) => /[aeiou]$/.test(before) && /^e$/.test(after)),
  rule('a', 'AE'), rule('e', 'EH'), rule('i', 'IH'), rule('o', 'AA'), rule('u', 'AH'), rule('y', 'IH'),
  rule('b', 'B'), rule('c', 'K'), rule('d', 'D'), rule('f', 'F'), rule('g', 'G'), rule('h', 'HH'), rule('j', 'JH'), rule('k', 'K'), rule('l', 'L'), rule('m', 'M'),
  rule('n', 'N'), rule('p', 'P'), rule('q', 'K'), rule('r', 'R'), rule('s', 'S'), rule('t', 'T'), rule('v', 'V'), rule('w', 'W'), rule('z', 'Z'),
];

export function soundsOf(word: string): Sound[] {
  const plain = word.toLowerCase().replace(/[^a-z]/g, '');
  const known = Object.hasOwn(EXCEPTIONS, plain) ? EXCEPTIONS[plain] : undefined;
  if (known !== undefined) return known.split(' ');
  const sounds: Sound[] = [];
  let at = 0;
  while (at < plain.length) {
    const before = plain.slice(0, at);
    const fit = RULES.find(({ letters, when }) => {
      return plain.startsWith(letters, at) && (when === undefined || when(before, plain.slice(at + letters.length)));
    });
    if (fit?.sounds) sounds.push(...fit.sounds.split(' '));
    at += fit?.letters.length ?? 1;
  }
  return sounds;
}

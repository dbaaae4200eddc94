/**
 * A small list of passwords that everybody tries first. It is made from the obvious roots (words, names of months,
 * keyboard walks) with the endings and letter swaps that people add, so a few lines stand for tens of thousands of
 * passwords. It does not replace a full breach list; it stops the guesses that a locked-down login still allows.
 */

const ROOTS = `
password passwort contrasena motdepasse parola senha wachtwoord secret secure security access admin administrator
root user guest login welcome letmein changeme default master manager system server test testing temp demo example
qwerty qwertyuiop qwertz azerty asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx qazwsxedc poiuytrewq mnbvcxz abcdef abcdefgh
abc abcd abcde iloveyou loveme lovely love sunshine princess dragon monkey football baseball basketball soccer
hockey golf tennis superman batman spiderman starwars pokemon ninja samurai shadow phantom ghost hunter ranger
killer maverick freedom liberty america england london paris berlin canada australia india china brazil
michael jennifer jessica jordan michelle daniel thomas robert charlie andrew joshua matthew ashley amanda nicole
william anthony george taylor maggie buster ginger pepper cookie chocolate banana orange apple cherry flower summer
winter spring autumn january february march april june july august september october november december
monday tuesday wednesday thursday friday saturday sunday computer internet windows microsoft google facebook
whatever trustno nothing mustang corvette ferrari porsche mercedes yamaha harley eagle falcon tiger lion panther
cheese coffee pizza purple yellow silver golden diamond matrix merlin gandalf wizard magic trinity zaphod
company business office private personal account banking money dollar million lucky winner champion
gatehouse gateway hello hellothere goodbye family mother father brother sister forever angel heaven jesus christ
blessed god faith hope grace peace correcthorsebatterystaple`
  .trim()
  .split(/\s+/);

/** Runs of keys and digits that are a password by themselves, in any length and either direction. */
const WALKS = [
  '1234567890123456789012345678901234567890',
  'abcdefghijklmnopqrstuvwxyz',
  'qwertyuiopasdfghjklzxcvbnm',
  '1q2w3e4r5t6y7u8i9o0p',
  'qazwsxedcrfvtgbyhnujmikolp',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
  'zaq12wsxcde34rfvbgt56yhnmju78ik',
  'a1b2c3d4e5f6g7h8i9j0',
  'asdfghjkl',
  'zxcvbnm',
];
const REVERSED = WALKS.map((walk) => [...walk].reverse().join(''));
const roots = new Set(ROOTS);
const SWAPS: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
  '!': 'i',
  '+': 't',
};

function unswap(text: string): string {
  return text.replace(/[013457@$!+]/g, (found) => SWAPS[found] ?? found);
}

/** True for what is made of common roots, swaps, repetition and the usual endings. */
export function isCommonPassword(password: string): boolean {
  const lower = password.toLowerCase().replace(/[\s_-]/g, '');
  if (isWalk(lower) || isRepetition(lower)) return true;
  // Years, counts and marks before or behind a word: summer2026!, 123welcome
  const core = lower.replace(/^[^a-z@$]+/, '').replace(/[^a-z]+$/, '');
  const added = lower.length - core.length;
  if (added > 8) return false;
  for (const word of new Set([lower, core, unswap(lower), unswap(core), lower.replace(/[^a-z]/g, '')])) {
    if (roots.has(word) || isWalk(word) || isRepetition(word) || isTwoRoots(word)) return true;
  }
  return false;
}

function isWalk(text: string): boolean {
  return (
    text.length >= 4 && (WALKS.some((walk) => walk.includes(text)) || REVERSED.some((walk) => walk.includes(text)))
  );
}

/** abcabcabc, passwordpassword, aaaaaaaaaa */
function isRepetition(text: string): boolean {
  for (let size = 1; size <= text.length / 2; size++) {
    if (text.length % size !== 0) continue;
    const unit = text.slice(0, size);
    if (unit.repeat(text.length / size) === text && (size <= 4 || roots.has(unit) || isWalk(unit))) return true;
  }
  return false;
}

/** welcomeadmin, iloveyoumonkey */
function isTwoRoots(text: string): boolean {
  if (text.length > 20) return false;
  for (let cut = 3; cut <= text.length - 3; cut++) {
    if (roots.has(text.slice(0, cut)) && roots.has(text.slice(cut))) return true;
  }
  return false;
}

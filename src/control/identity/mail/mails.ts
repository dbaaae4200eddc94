/**
 * The emails of accounts: each says what happened, in the account's language, and what to do when one did not ask for
 * it; as plain text and as HTML without pictures, scripts or anything from elsewhere. They are written to the outbox
 * with the change that causes them.
 */
import type { Kysely } from 'kysely';
import type { IdentityOptions } from '../options.ts';
import { html } from '../pages/layout.ts';
import { LIGHT } from '../pages/style.ts';
import { filled, type Values } from '../pages/words.ts';
import type { IdentityTables } from '../tables.ts';
import { type LinkAction, linkTo } from './links.ts';
import type { MailKey } from './mail-texts-en.ts';
import { type MailTexts, mailWords } from './mail-words.ts';
import type { Outbox } from './outbox.ts';

/** Whose email it is; `language` null is nobody's choice. */
export interface Addressee {
  readonly email: string;
  readonly language: string | null;
}

/** What an owner hears of: the subject, and what to do when it was somebody else. */
const NOTICES = {
  passwordText: ['passwordSubject', 'passwordElse'],
  lockedText: ['lockedSubject', 'lockedElse'],
  addressText: ['addressSubject', 'addressElse'],
  keyMade: ['accessSubject', 'accessElse'],
  keyReplaced: ['accessSubject', 'accessElse'],
  keyMadeFor: ['accessSubject', 'accessElse'],
  keyReplacedFor: ['accessSubject', 'accessElse'],
  childMade: ['accessSubject', 'accessElse'],
  applicationAllowed: ['accessSubject', 'accessElse'],
  linkAdded: ['accessSubject', 'accessElse'],
  linkRemoved: ['accessSubject', 'accessElse'],
  linksRemoved: ['accessSubject', 'accessElse'],
  factorAdded: ['factorsSubject', 'factorsElse'],
  factorRemoved: ['factorsSubject', 'factorsElse'],
  factorsRemovedFor: ['factorsSubject', 'factorsElse'],
  passkeysRemoved: ['factorsSubject', 'factorsElse'],
  codesMade: ['factorsSubject', 'factorsElse'],
  codeUsed: ['factorsSubject', 'factorsElse'],
  takenOver: ['factorsSubject', 'factorsElse'],
} as const satisfies Partial<Record<MailKey, readonly [MailKey, MailKey]>>;

export type Notice = keyof typeof NOTICES;

/** A paragraph, or a link with what its button says. */
type Part = { readonly text: MailKey; readonly values?: Values } | { readonly url: string; readonly button: MailKey };

type Handle = Kysely<IdentityTables>;

export class Mails {
  readonly #options: IdentityOptions;
  readonly #outbox: Pick<Outbox, 'add'>;
  readonly #words: ReturnType<typeof mailWords>;

  constructor(options: IdentityOptions, outbox: Pick<Outbox, 'add'>) {
    this.#options = options;
    this.#outbox = outbox;
    this.#words = mailWords(options);
  }

  /** Tells the owner what changed; nothing where the account has no address. */
  async tell(
    db: Handle,
    owner: { email: string | null; language: string | null },
    notice: Notice,
    values: Values = {},
  ) {
    const { email, language } = owner;
    if (email === null) return;
    const [subject, otherwise] = NOTICES[notice];
    await this.#add(db, { email, language }, subject, [{ text: notice, values }, { text: otherwise }]);
  }

  async verifyEmail(db: Handle, to: Addressee, code: string): Promise<void> {
    const rest = [{ text: 'verifyUntil' }, { text: 'verifyElse' }] as const;
    await this.#add(db, to, 'verifySubject', [
      { text: 'verifyText' },
      ...this.#linkAndCode('verify-email', 'verifyButton', code),
      ...rest,
    ]);
  }

  /** To the address that an account is to have. */
  async verifyNewEmail(db: Handle, to: Addressee, code: string): Promise<void> {
    const rest = [{ text: 'moveUntil' }, { text: 'moveElse' }] as const;
    await this.#add(db, to, 'verifySubject', [
      { text: 'moveText' },
      ...this.#linkAndCode('verify-email', 'verifyButton', code),
      ...rest,
    ]);
  }

  async alreadyRegistered(db: Handle, to: Addressee): Promise<void> {
    await this.#add(db, to, 'takenSubject', [{ text: 'takenText' }, { text: 'takenElse' }]);
  }

  async resetPassword(db: Handle, to: Addressee, account: string, code: string): Promise<void> {
    await this.#add(db, to, 'resetSubject', [
      { text: 'resetText', values: { account } },
      ...this.#linkAndCode('reset-password', 'resetButton', code),
      { text: 'resetUntil' },
    ]);
  }

  #linkAndCode(action: LinkAction, button: MailKey, code: string): readonly Part[] {
    return [
      { url: linkTo(this.#options, action, code), button },
      { text: 'orCode', values: { code } },
    ];
  }

  async #add(db: Handle, to: Addressee, subject: MailKey, parts: readonly Part[]): Promise<void> {
    const { language, texts } = this.#words.in(to.language);
    const { name } = this.#options.pages;
    const title = onOneLine(`${name}: ${texts[subject]}`);
    await this.#outbox.add(db, {
      to: to.email,
      subject: title,
      text: parts.map((part) => plain(part, texts)).join('\r\n'),
      html: this.#document(
        language,
        title,
        parts.map((part) => this.#rich(part, texts)),
      ),
      language,
    });
  }

  /** Styles are in attributes: many programs that show emails know no others. */
  #document(language: string, title: string, paragraphs: readonly string[]): string {
    return [
      `<!doctype html>\r\n<html lang="${html(language)}"><head><meta charset="utf-8">`,
      '<meta name="viewport" content="width=device-width,initial-scale=1">',
      `<title>${html(title)}</title></head>`,
      '<body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif"><div style="max-width:36em;margin:0 auto">',
      `<p style="font-weight:600">${html(this.#options.pages.name)}</p>`,
      ...paragraphs,
      '</div></body></html>',
    ].join('\r\n');
  }

  #rich(part: Part, texts: MailTexts): string {
    if (!('url' in part)) {
      const strong = (value: string | number): string => `<strong>${html(onOneLine(value))}</strong>`;
      return `<p>${filled(html(texts[part.text]), part.values ?? {}, strong)}</p>`;
    }
    const { accent = LIGHT.accent, card = LIGHT.card } = this.#options.pages.colours.light;
    const look = `display:inline-block;padding:10px 18px;border-radius:6px;background:${accent};color:${card};text-decoration:none`;
    const url = html(part.url);
    return [
      `<p><a href="${url}" style="${look}">${html(texts[part.button])}</a></p>`,
      `<p style="font-size:14px;overflow-wrap:anywhere"><a href="${url}">${url}</a></p>`,
    ].join('\r\n');
  }
}

/** Names are what somebody chose: none begins a line of its own. */
const onOneLine = (value: string | number): string => String(value).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');

function plain(part: Part, texts: MailTexts): string {
  if ('url' in part) return `${part.url}\r\n`;
  return filled(texts[part.text], part.values ?? {}, onOneLine);
}

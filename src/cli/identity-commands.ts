/**
 * The commands of the identity service, as `gatehouse --help` knows them. Words and options only: what they do is in
 * the `*-run.ts` file of each, loaded when it runs, because it brings the database and the token libraries along.
 */
import { ADMIN_OPTIONS, serverOf } from './admin-call.ts';
import type { Command, CommandOption } from './command.ts';
import { JSON_OPTION } from './command.ts';

const config: CommandOption = {
  type: 'string',
  short: 'c',
  value: 'FILE',
  meaning: 'configuration file; default is the one in the working directory, if there is one',
};
const COMMON = { config, json: JSON_OPTION };
const text = (value: string, meaning: string): CommandOption => ({ type: 'string', value, meaning });
const flag = (meaning: string): CommandOption => ({ type: 'boolean', meaning });
const AFAR = { server: ADMIN_OPTIONS['server']!, token: ADMIN_OPTIONS['token']! };
const WHERE =
  "On the gateway's machine the command opens its database, so that no gateway need run; with --server it asks the admin API of a gateway elsewhere.";
const EXITS = 'Exit codes: 0 done, 2 wrong usage, 5 refused.';

export const user: Command = {
  name: 'user',
  summary: 'make, list and change accounts',
  usage: [
    'create --email ADDRESS [--username NAME] [--admin]',
    'list [--query TEXT]',
    'show|disable|enable|password ACCOUNT',
    'roles ACCOUNT --roles LIST',
    'plan ACCOUNT --plan NAME',
  ],
  description: `ACCOUNT is an id, an address or a user name. A password is read from standard input with --password-stdin; without it one is made and shown once.

Changing a password, disabling and changing roles end the sessions of the account. A plan counts from the next refresh of a session on. ${WHERE}

${EXITS}`,
  options: {
    email: text('ADDRESS', 'address of the account; counts as confirmed'),
    username: text('NAME', 'user name'),
    admin: flag('give the role admin'),
    service: flag('an account without a password, for keys and tokens'),
    roles: text('LIST', 'roles instead of the usual ones, with commas between'),
    plan: text('NAME', 'plan instead of the usual one, or the new plan'),
    query: text('TEXT', 'accounts whose address or name begins so'),
    'password-stdin': flag('read the password from standard input'),
    ...AFAR,
    ...COMMON,
  },
  arguments: { min: 1, max: 2 },
  run: async (context) =>
    serverOf(context) === undefined
      ? (await import('./user-run.ts')).runUser(context)
      : (await import('./user-afar.ts')).runUserAfar(context),
};

export const token: Command = {
  name: 'token',
  summary: 'mint, check and revoke access tokens',
  usage: ['--user NAME [--scopes LIST] [--plan NAME] [--mfa] [--ttl TIME]', 'revoke JTI', 'check', 'rotate'],
  description: `Mints a token without a session, for services, scripts and tests. "check" reads a token from standard input and says whether it is alive. "rotate" makes a new signing key, which signs after tokens.publishBefore. With --server, "check" and "revoke" ask a gateway elsewhere; tokens are minted on its own machine alone, since who mints one can become anybody.

Exit codes: 0 done, 2 wrong usage, 4 the token is not alive, 5 refused.`,
  options: {
    user: text('NAME', 'an account, or any name for users that live elsewhere'),
    scopes: text('LIST', 'scopes of the token; default none'),
    roles: text('LIST', 'roles; default those of the account'),
    plan: text('NAME', 'plan; default that of the account'),
    mfa: flag('say that a second factor was given'),
    ttl: text('TIME', 'life, such as 15m; default 1h'),
    ...AFAR,
    ...COMMON,
  },
  arguments: { min: 0, max: 2 },
  run: async (context) =>
    serverOf(context) === undefined
      ? (await import('./token-run.ts')).runToken(context)
      : (await import('./token-afar.ts')).runTokenAfar(context),
};

export const key: Command = {
  name: 'key',
  summary: 'make, list, rotate and revoke API keys',
  usage: [
    'create --user ACCOUNT --name NAME [--scopes LIST] [--roles LIST] [--ttl TIME] [--addresses LIST]',
    'list --user ACCOUNT',
    'rotate ID --user ACCOUNT [--grace TIME]',
    'revoke ID',
  ],
  description: `The text of a key is shown once, by create and rotate. ${WHERE}

${EXITS}`,
  options: {
    user: text('ACCOUNT', 'owner: id, address or user name'),
    name: text('NAME', 'what the key is for'),
    scopes: text('LIST', 'scopes; the owner must have them; default none'),
    roles: text('LIST', 'roles; the owner must have them; default none'),
    ttl: text('TIME', 'life, such as 90d; default for ever'),
    addresses: text('LIST', 'CIDR blocks from which it works; default all'),
    grace: text('TIME', 'how long the old key goes on; default not at all'),
    ...AFAR,
    ...COMMON,
  },
  arguments: { min: 1, max: 2 },
  run: async (context) =>
    serverOf(context) === undefined
      ? (await import('./key-run.ts')).runKey(context)
      : (await import('./key-afar.ts')).runKeyAfar(context),
};

export const audit: Command = {
  name: 'audit',
  summary: 'verify and read the audit log',
  usage: ['verify [--expect SEQ:MAC]', 'head', 'list [--last N] [--action NAME]'],
  description: `verify walks the whole chain and names the first entry that does not fit. With the head noted earlier (--expect) it also sees an end that was cut off. ${WHERE}

Exit codes: 0 done and whole, 2 wrong usage, 5 the chain is broken.`,
  options: {
    expect: text('SEQ:MAC', 'what "audit head" showed earlier'),
    last: text('N', 'how many entries; default 50'),
    action: text('NAME', 'only entries of this action, such as login.failed'),
    ...AFAR,
    ...COMMON,
  },
  arguments: { min: 1, max: 1 },
  run: async (context) =>
    serverOf(context) === undefined
      ? (await import('./audit-run.ts')).runAudit(context)
      : (await import('./audit-afar.ts')).runAuditAfar(context),
};

export const migrate: Command = {
  name: 'migrate',
  summary: 'bring the database up to this version',
  usage: [''],
  description: `Applies the migrations that the database does not have yet, all of them or none. The gateway does the same at its start.

${EXITS}`,
  options: COMMON,
  arguments: { min: 0, max: 0 },
  run: async (context) => (await import('./migrate-run.ts')).runMigrate(context),
};

export const identity: Command = {
  name: 'identity',
  summary: 'run the identity service by itself',
  usage: ['[--listen HOST:PORT | --socket PATH]'],
  description: `Runs until SIGTERM or SIGINT. Several may run on one PostgreSQL with one master key (GATEHOUSE_MASTER_KEY). A gateway reaches it as a service and verifies by its key set.

${EXITS}`,
  options: {
    listen: text('HOST:PORT', 'where to listen; default 127.0.0.1:8081'),
    socket: text('PATH', 'a Unix socket instead'),
    ...COMMON,
  },
  arguments: { min: 0, max: 0 },
  isService: true,
  run: async (context) => (await import('./identity-run.ts')).runIdentity(context),
};

/** For the list of all commands. */
export const IDENTITY_COMMANDS: readonly Command[] = [user, token, key, audit, migrate, identity];

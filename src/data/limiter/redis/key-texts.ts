/**
 * Names of counters in Redis. They must be the same on every machine, so they are not made from the table's hash, whose
 * key is each process's own, but from a digest of rule and caller; no user name or address can be read off Redis. Rules
 * of one caller share a hash tag, and with it a Cluster slot.
 */
import { hash } from 'node:crypto';
import { readAddress } from '../../../base/address-words.ts';
import type { KeyPart } from '../../contract/limits.ts';
import type { Identity, PolicyContext } from '../../contract/policy.ts';
import type { Rule } from '../rule.ts';

const words = new Int32Array(4);

/** The caller under a key, in the same words on every machine; see keys.ts for what falls back to what. */
export function callerText(by: readonly KeyPart[], exchange: PolicyContext): string {
  return by.map((part) => partText(part, exchange)).join('\n');
}

function partText(part: KeyPart, exchange: PolicyContext): string {
  const { identity } = exchange;
  switch (part.kind) {
    case 'ip':
      return addressText(exchange.address);
    case 'user':
      return identity === null ? addressText(exchange.address) : `user ${accountOf(identity)}`;
    case 'apiKey': {
      if (identity === null) return addressText(exchange.address);
      const keyId = identity.claims['key_id'];
      return identity.method === 'apiKey' && typeof keyId === 'string' ? `key ${keyId}` : `user ${accountOf(identity)}`;
    }
    case 'plan':
      return `plan ${identity?.plan ?? ''}`;
    case 'method':
      return exchange.method === 'GET' ||
        exchange.method === 'HEAD' ||
        exchange.method === 'OPTIONS' ||
        exchange.method === 'TRACE'
        ? 'read'
        : 'write';
    case 'header': {
      const value = exchange.header(part.name);
      return value === null ? addressText(exchange.address) : `header ${value}`;
    }
  }
}

/** Subjects of two issuers are two callers, as in keys.ts. */
const accountOf = ({ account, subject }: Identity): string => account ?? subject;

function addressText(address: string): string {
  const family = readAddress(address, words);
  if (family === 0) return `address ${address}`;
  return family === 4 ? `v4 ${words[0]}` : `v6 ${words[0]} ${words[1]}`;
}

export function callerTag(caller: string): string {
  return hash('sha256', caller, 'base64url').slice(0, 22);
}

const ruleTags = new WeakMap<Rule, string>();

export function counterKey(prefix: string, tag: string, rule: Rule): string {
  let ruleTag = ruleTags.get(rule);
  if (ruleTag === undefined) {
    ruleTag = hash('sha256', rule.id, 'base64url').slice(0, 16);
    ruleTags.set(rule, ruleTag);
  }
  return `${prefix}:{${tag}}:${ruleTag}`;
}

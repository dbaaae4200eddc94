/** API keys as `gatehouse key list` shows them. */
import { table } from './table.ts';

export function keyTable(keys: readonly Readonly<Record<string, unknown>>[]): string {
  const time = (at: unknown): string => (typeof at === 'string' ? at.slice(0, 16).replace('T', ' ') : '-');
  const lines = [['ID', 'NAME', 'SCOPES', 'EXPIRES', 'LAST USED', 'REVOKED']];
  for (const key of keys) {
    const scopes = (key['scopes'] as string[]).join(',') || '-';
    lines.push([
      String(key['id']),
      String(key['name']),
      scopes,
      time(key['expiresAt']),
      time(key['lastUsedAt']),
      time(key['revokedAt']),
    ]);
  }
  return table(lines);
}

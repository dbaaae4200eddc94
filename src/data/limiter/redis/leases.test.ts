import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decision } from '../limiter.ts';
import { LeaseBook } from './leases.ts';

const allowed = new Decision();
const refusedFor = (retryMs: number): Decision => Object.assign(new Decision(), { allowed: false, retryMs });

test('a batch doubles while it is used up in time, up to the most, and halves when it is not', () => {
  const book = new LeaseBook(1_000);
  const lease = book.of(1, 0);
  const wants: number[] = [];
  for (let i = 0; i < 5; i++) {
    const count = book.want(lease, 6, i * 10);
    wants.push(count);
    book.granted(lease, allowed, count, i * 10);
    lease.left = 0;
  }
  assert.deepEqual(wants, [1, 2, 4, 6, 6]);
  book.granted(lease, allowed, 6, 100);
  assert.equal(book.want(lease, 6, 200), 3, 'ahead of need, with something left');
  assert.equal(book.want(lease, 6, 5_000), 1);
  assert.equal(book.want(lease, 0, 5_000), 1, 'never less than one');
});

test('a renewal adds to what is left within its time and replaces what is over', () => {
  const book = new LeaseBook(1_000);
  const lease = book.of(1, 0);
  book.granted(lease, allowed, 4, 0);
  lease.left = 3;
  book.granted(lease, allowed, 4, 500);
  assert.deepEqual([lease.left, lease.untilMs], [7, 1_500]);
  book.granted(lease, allowed, 4, 2_000);
  assert.equal(lease.left, 4);
});

test('a refusal is remembered until it may end, a second at most', () => {
  const book = new LeaseBook(1_000);
  const lease = book.of(1, 0);
  book.granted(lease, refusedFor(300), 0, 100);
  assert.equal(lease.refusedUntilMs, 400);
  book.granted(lease, refusedFor(60_000), 0, 100);
  assert.equal(lease.refusedUntilMs, 1_100);
});

test('there are never more than the most; what is over goes first', () => {
  const book = new LeaseBook(1_000, 100);
  for (let i = 0; i < 100; i++) book.granted(book.of(i, 0), allowed, 5, i < 50 ? 0 : 900);
  const kept = book.of(99, 1_500);
  book.of(1_000, 1_500);
  assert.equal(book.size, 51);
  assert.equal(book.of(99, 1_500), kept);
  for (let i = 2_000; i < 2_500; i++) book.granted(book.of(i, 1_500), allowed, 5, 1_500);
  assert.ok(book.size <= 100, `${book.size}`);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plansOf } from './plans.ts';

const SHIPPED = ['standard', 'premium', 'enterprise'];

test('plans of accounts are those of the document, and those that are shipped where it has none of its own', () => {
  const rows = [
    { section: {}, document: undefined, plans: SHIPPED, first: 'standard' },
    { section: {}, document: { plans: ['premium'] }, plans: SHIPPED, first: 'standard' },
    { section: {}, document: { plans: ['free', 'pro'] }, plans: ['free', 'pro'], first: 'free' },
    { section: {}, document: { plans: ['free', 'pro'], defaultPlan: 'pro' }, plans: ['free', 'pro'], first: 'pro' },
    {
      section: { plans: ['a', 'b'] },
      document: { plans: ['free'], defaultPlan: 'free' },
      plans: ['a', 'b'],
      first: 'a',
    },
    { section: { defaultPlan: 'pro' }, document: { plans: ['free', 'pro'] }, plans: ['free', 'pro'], first: 'pro' },
  ];
  for (const { section, document, plans, first } of rows)
    assert.deepEqual(plansOf(section, document), { plans, defaultPlan: first });
});

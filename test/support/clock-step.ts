/**
 * Loaded before everything else in each thread of a process (`NODE_OPTIONS=--import`): its time of day is off by as
 * many milliseconds as the file `TEST_CLOCK_FILE` says, from the moment it says so. What the operating system and the
 * database say of the time stays as it is: only this process has a wrong clock.
 */
import { readFileSync } from 'node:fs';

const file = process.env['TEST_CLOCK_FILE'];
let shiftMs = 0;
if (file !== undefined)
  setInterval(() => {
    try {
      shiftMs = Number(readFileSync(file, 'utf8')) || 0;
    } catch {
      // It is not there yet.
    }
  }, 50).unref();

const RealDate = Date;
const realNow = Date.now.bind(Date);
Date.now = () => realNow() + shiftMs;
globalThis.Date = new Proxy(RealDate, {
  construct(target, args: [], newTarget) {
    return args.length === 0 ? new target(Date.now()) : Reflect.construct(target, args, newTarget);
  },
  apply(target, _self, args: []) {
    return args.length === 0 ? new target(Date.now()).toString() : Reflect.apply(target, undefined, args);
  },
});

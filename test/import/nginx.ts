/** A real nginx with a configuration of a test's, and what it or the gateway says to a request. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scope } from '../support/scope.ts';
import { readAll } from '../support/upstream.ts';

/** The same numbers each time. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export function ask(
  port: number,
  { method, path, host }: { method: string; path: string; host: string },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, method, path, headers: { host }, agent: false }, (response) => {
      void readAll(response).then((body) => {
        const { location = '' } = response.headers;
        const isOurs = response.headers['content-type'] === 'application/json' && response.statusCode === 200;
        // What the report says of `$host`, and a bare `?`, are told apart from what is not known to differ.
        const seen = body
          .toString()
          .replace(/"host":"([a-z.]+)(:8080)?"/i, (_, name: string) => `"host":"${name.toLowerCase()}"`);
        const plain = (text: string): string => text.replace(/\?(?="|$)/, '');
        resolve(`${response.statusCode} ${plain(location)} ${isOurs ? plain(seen) : ''}`);
      }, reject);
    });
    asked.on('error', reject);
    asked.end();
  });
}

export async function startNginx(test: Scope, http: string, port: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-nginx-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
    events {} http { access_log off; ${temporary.join(' ')} ${http} }`,
  );
  await writeFile(join(folder, 'users'), 'staff:{PLAIN}secret\n');
  const child = spawn('nginx', ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', `${folder}/error.log`], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  test.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  for (let attempt = 0; ; attempt++) {
    try {
      await ask(port, { method: 'GET', path: '/exact', host: 'a.example' });
      return;
    } catch (error) {
      if (attempt > 1_000 || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

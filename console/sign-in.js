/** Signing in: with an account and its second factor, with a passkey, or by the link that a command prints. */

import { askPasskey, enter, readMe, waysIn } from './api.js';
import { html, Message } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';

/** WebAuthn §5.1.4: a page may ask for passkeys of its own domain and those above it. */
function canAskFor(domain) {
  const { hostname } = location;
  return (
    domain !== null &&
    typeof globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON === 'function' &&
    (hostname === domain || hostname.endsWith(`.${domain}`))
  );
}

export function SignIn() {
  const [ways, setWays] = useState(null);
  const [factor, setFactor] = useState(null);
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    document.title = 'Sign in · Gatehouse';
    void waysIn().then(setWays);
  }, []);
  const attempt = async (work) => {
    setBusy(true);
    try {
      const found = await work();
      setError('');
      if (found?.ticket !== undefined) setFactor(found);
    } catch (failure) {
      setError(failure.message);
      if (failure.body?.reason === 'invalid_ticket') setFactor(null);
    } finally {
      setBusy(false);
    }
  };
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.currentTarget));
    void attempt(() => enter(factor === null ? given : { ticket: factor.ticket, ...given }));
  };
  const usePasskey = () =>
    attempt(async () => {
      const passkey = await askPasskey(factor?.ticket);
      if (passkey === null) return undefined;
      return enter(factor === null ? { passkey } : { ticket: factor.ticket, passkey });
    });
  if (ways === null) return html`<main><p class="soft">One moment …</p></main>`;
  const withPasskey = canAskFor(ways.passkeyDomain) && (factor === null || factor.methods.includes('passkey'));
  return html`<main class="narrow"><h1>Gatehouse</h1>
    ${
      ways.accounts &&
      html`<section class="card" aria-labelledby="account-title"><h2 id="account-title">${factor === null ? 'Sign in with your account' : 'Second factor'}</h2>
      <form class="stack" key=${factor === null ? 'password' : 'factor'} onSubmit=${submit}>
        ${
          factor === null
            ? html`<label>Email address or user name<input name="login" required maxlength="320" autocomplete="username" autocapitalize="none" spellcheck="false" /></label>
          <label>Password<input name="password" type="password" required maxlength="256" autocomplete="current-password" /></label>`
            : html`<label>Code of your authenticator app, or a recovery code<input name="code" required=${!withPasskey} maxlength="40" autocomplete="one-time-code" spellcheck="false" autofocus /></label>`
        }
        <p><button class="main" disabled=${isBusy}>${factor === null ? 'Sign in' : 'Continue'}</button>${' '}
          ${withPasskey && html`<button type="button" disabled=${isBusy} onClick=${usePasskey}>Use a passkey</button>`}${' '}
          ${factor !== null && html`<button type="button" onClick=${() => setFactor(null)}>Back</button>`}</p>
      </form>
      <${Message} error=${error} />
    </section>`
    }
    <div class="plain">
      <p>${ways.accounts ? 'Or, on' : 'No user is signed in. On'} the machine of the gateway, run</p>
      <pre>gatehouse console</pre>
      <p>and open the link that it prints. It works once, within five minutes.</p>
      <button type="button" onClick=${readMe}>Try again</button>
    </div></main>`;
}

/**
 * Starts Swagger UI on the document of the gateway. Other audiences are asked for with the token that was typed: it
 * stays in this page's memory, is sent to this gateway only, and authorizes the requests that are tried out.
 */
const { documents } = document.body.dataset;
const form = document.getElementById('which');
const said = form.querySelector('output');
let token = '';

const isOwn = (url) => new URL(url, location.href).origin === location.origin;

function show(url) {
  const ui = window.SwaggerUIBundle({
    url,
    dom_id: '#api',
    deepLinking: true,
    displayRequestDuration: true,
    validatorUrl: null,
    docExpansion: 'list',
    syntaxHighlight: { activated: false },
    supportedSubmitMethods: document.body.dataset.try === 'true' ? undefined : [],
    requestInterceptor: (request) => {
      if (token !== '' && isOwn(request.url)) request.headers.Authorization ??= `Bearer ${token}`;
      return request;
    },
    onComplete: () => {
      if (token !== '') ui.preauthorizeApiKey('bearer', token);
      said.textContent = '';
    },
  });
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  token = fields.get('token').trim();
  const audience = fields.get('audience');
  const url = audience === '' ? `${documents}.json` : `${documents}/${audience}.json`;
  const response = await fetch(url, { headers: token === '' ? {} : { authorization: `Bearer ${token}` } });
  if (!response.ok) {
    said.textContent =
      response.status === 401
        ? 'this needs a token'
        : response.status === 403
          ? 'this token may not'
          : `no such document (${response.status})`;
    return;
  }
  document.getElementById('api').replaceChildren();
  show(url);
});

show(`${documents}.json`);

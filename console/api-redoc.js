/** Starts Redoc on the document of the gateway; another audience's is fetched with the token that was typed. */
const { documents } = document.body.dataset;
const form = document.getElementById('which');
const said = form.querySelector('output');

function show(description) {
  const place = document.createElement('div');
  document.getElementById('api').replaceChildren(place);
  // Its search index is a worker made of text, which the policy of the page refuses.
  window.Redoc.init(
    description,
    { sanitize: true, disableSearch: true, nativeScrollbars: true, hideDownloadButton: false },
    place,
  );
}

async function fetchAndShow(url, token) {
  const response = await fetch(url, { headers: token === '' ? {} : { authorization: `Bearer ${token}` } });
  if (response.ok) {
    said.textContent = '';
    show(await response.json());
  } else if (response.status === 401) said.textContent = 'this needs a token';
  else said.textContent = response.status === 403 ? 'this token may not' : `no such document (${response.status})`;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  const audience = fields.get('audience');
  fetchAndShow(audience === '' ? `${documents}.json` : `${documents}/${audience}.json`, fields.get('token').trim());
});

fetchAndShow(`${documents}.json`, '');
